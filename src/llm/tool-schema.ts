import { isObject } from './json.ts';

/**
 * The schemas of tools, which come from anybody's servers, within what all vendors take. What they lose on the way says
 * less to the model and nothing else: whoever runs a tool checks its arguments.
 */

type JsonSchema = Record<string, unknown>;

/** Of a schema once its references are written out, which may grow without end. */
const maxNodes = 10_000;
const maxDepth = 40;
/** As much text as a node mostly has: what must be written down to be compared counts as well. */
const nodeLength = 32;

const TYPES = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'];

/** Dropped: `$ref`s are written out, and the rest is refused by some vendor or read by no model. */
const DROPPED = new Set(
  (
    '$ref $schema $id id $anchor $comment $defs definitions not if then else contains propertyNames patternProperties ' +
    'dependentSchemas dependentRequired dependencies unevaluatedProperties unevaluatedItems'
  ).split(' '),
);
const CHOICES = ['anyOf', 'oneOf', 'allOf'];

/** What the references of a schema lead into, and how many nodes it may still become. */
type Source = { root: unknown; left: number };
type Place = { refs: string[]; depth: number };

/**
 * The schema of an object with `properties`, as vendors want it of a tool: no choices at its root, no references, no
 * schemas that are a boolean, lists with items. Undefined when it is that of something else, or too large.
 */
export function fitToolSchema(schema: unknown): JsonSchema | undefined {
  const source = { root: schema ?? {}, left: maxNodes };
  try {
    const flat = flatten(source, source.root, { refs: [], depth: 0 });
    return flat && { type: 'object', ...fit(source, flat, { refs: [], depth: 0 }) };
  } catch (error) {
    // Nested so deep that it cannot even be written down.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** An object without choices at its root: what is in one of them may be given, what is in all of them must be. */
function flatten(source: Source, given: unknown, place: Place): JsonSchema | undefined {
  const { node, refs } = written(source, given, place);
  const { anyOf, oneOf, allOf, enum: _enum, const: _const, type, ...own } = node;
  const within = { refs, depth: place.depth + 1 };
  source.left -= 1 + Object.keys(propertiesOf(own)).length;
  if (source.left < 0 || within.depth > maxDepth) return undefined;
  if (typesOf(type).length > 0 && !typesOf(type).includes('object')) return undefined;

  const flattened = (list: unknown[]) =>
    list.map((one) => flatten(source, one, within)).filter((one) => one !== undefined);
  const choices = [...listOf(anyOf), ...listOf(oneOf)];
  const [some, all] = [flattened(choices), flattened(listOf(allOf))];
  if (choices.length > 0 && some.length === 0 && typesOf(type).length === 0) return undefined;
  const inEach = requiredOf(some[0]).filter((name) => some.every((one) => requiredOf(one).includes(name)));
  const either = eitherOf(source, some);
  if (source.left < 0) return undefined;
  const properties = [either, ...all.map(propertiesOf), propertiesOf(own)];
  return {
    ...own,
    type: 'object',
    properties: Object.fromEntries(properties.flatMap(Object.entries)),
    required: [...new Set([...requiredOf(own), ...all.flatMap(requiredOf), ...inEach])],
  };
}

/** The properties of all of these. One that they have differently may be either. */
function eitherOf(source: Source, schemas: JsonSchema[]): JsonSchema {
  const kinds = new Map<string, Map<string, unknown>>();
  for (const [name, schema] of schemas.flatMap((one) => Object.entries(propertiesOf(one)))) {
    const text = JSON.stringify(schema);
    source.left -= Math.floor(text.length / nodeLength);
    if (source.left < 0) break;
    const known = kinds.get(name) ?? new Map<string, unknown>();
    kinds.set(name, known.set(text, schema));
  }
  return Object.fromEntries(
    [...kinds].map(([name, known]) => [name, known.size > 1 ? { anyOf: [...known.values()] } : [...known.values()][0]]),
  );
}

function fit(source: Source, given: unknown, place: Place): JsonSchema {
  source.left -= 1;
  if (source.left < 0 || place.depth > maxDepth) return {};
  const { node, refs } = written(source, given, place);
  const within = { refs, depth: place.depth + 1 };
  const fitted = Object.fromEntries(
    Object.entries(node).flatMap(([keyword, value]) => {
      const known = DROPPED.has(keyword) ? undefined : valueOf(source, keyword, value, within);
      return known === undefined ? [] : [[keyword, known]];
    }),
  );
  if (typesOf(fitted.type).includes('array')) fitted.items ??= {};
  if (typesOf(fitted.type).includes('object')) fitted.properties ??= {};
  const required = requiredOf(fitted).filter((name) => Object.hasOwn(propertiesOf(fitted), name));
  if (required.length) fitted.required = required;
  else delete fitted.required;
  return fitted;
}

/** What a keyword says, or undefined when that is not what the keyword is for. */
function valueOf(source: Source, keyword: string, value: unknown, place: Place): unknown {
  if (keyword === 'default' || keyword === 'const' || keyword === 'examples') return value;
  if (value === null) return undefined;
  if (keyword === 'properties') return fitProperties(source, value, place);
  if (keyword === 'items') return fit(source, Array.isArray(value) ? { anyOf: value } : value, place);
  if (keyword === 'additionalProperties') return typeof value === 'boolean' ? value : fit(source, value, place);
  if (CHOICES.includes(keyword) || keyword === 'prefixItems') {
    const choices = listOf(value).flatMap((one) => (one === false ? [] : [fit(source, one, place)]));
    // One that allows everything makes the others say nothing, but for those that must all hold.
    const says = keyword === 'allOf' ? choices.filter(isSaying) : choices.every(isSaying) ? choices : [];
    return says.length ? says : undefined;
  }
  if (keyword === 'type') {
    const types = typesOf(value);
    return types.length > 1 ? types : types[0];
  }
  if (keyword === 'enum') return Array.isArray(value) && value.length ? value : undefined;
  if (keyword === 'description' || keyword === 'title') return typeof value === 'string' ? value : undefined;
  // As the drafts before the sixth had it.
  if (keyword.startsWith('exclusiveM')) return typeof value === 'number' ? value : undefined;
  return value;
}

function fitProperties(source: Source, value: unknown, place: Place): Record<string, JsonSchema> {
  const allowed = Object.entries(asObject(value)).filter(([, schema]) => schema !== false);
  return Object.fromEntries(allowed.map(([name, schema]) => [name, fit(source, schema, place)]));
}

/** A node with what it refers to in place of the reference. One that leads back to itself, or away, says nothing. */
function written(source: Source, given: unknown, { refs }: Place): { node: JsonSchema; refs: string[] } {
  let node = asObject(given);
  const followed = [...refs];
  while (typeof node.$ref === 'string') {
    const { $ref, ...beside } = node;
    const isKnown = followed.includes($ref) || followed.length > maxDepth;
    followed.push($ref);
    node = { ...(isKnown ? {} : asObject(referred(source.root, $ref))), ...beside };
    if (isKnown) break;
  }
  return { node, refs: followed };
}

function referred(root: unknown, ref: string): unknown {
  if (!ref.startsWith('#')) return undefined;
  const names = ref.slice(1).split('/').slice(1).map(unescaped);
  return names.reduce<unknown>((at, name) => {
    const inside = Array.isArray(at) ? (at as unknown as JsonSchema) : asObject(at);
    return Object.hasOwn(inside, name) ? inside[name] : undefined;
  }, root);
}

function unescaped(name: string): string {
  const plain = name.replaceAll('~1', '/').replaceAll('~0', '~');
  try {
    return decodeURIComponent(plain);
  } catch {
    return plain;
  }
}

/** `true` allows everything, and PHP writes an empty object as a list. */
function asObject(value: unknown): JsonSchema {
  return isObject(value) ? value : {};
}

function isSaying(schema: JsonSchema): boolean {
  return Object.keys(schema).length > 0;
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : [];
}

function typesOf(type: unknown): string[] {
  return [type].flat().flatMap((one) => {
    const name = typeof one === 'string' ? one.toLowerCase() : '';
    return TYPES.includes(name) ? [name] : [];
  });
}

function propertiesOf(schema: JsonSchema): JsonSchema {
  return asObject(schema.properties);
}

function requiredOf(schema: JsonSchema | undefined): string[] {
  return listOf(schema?.required).filter((name) => typeof name === 'string');
}
