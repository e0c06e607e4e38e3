import type { JsonSchema } from '../../db/schema.ts';
import type { Path } from '../errors.ts';
import { isObject } from '../llm/index.ts';
import { jsonSchema } from './json-schema.ts';

/**
 * JSON Schemas from outside, of agents that were written for another house: what of them `checkerOf` checks is taken, and the rest is
 * named, so that nobody takes it for checked. What is taken never refuses a value that the whole schema allows.
 */

const annotations = new Set(
  '$schema $id $comment $defs definitions title description default examples example deprecated readOnly writeOnly'.split(
    ' ',
  ),
);
const types = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'];
const keywordsOf: Record<string, string[]> = {
  object: ['properties', 'required', 'additionalProperties'],
  array: ['items', 'minItems', 'maxItems'],
  string: ['minLength', 'maxLength', 'format'],
  number: ['minimum', 'maximum'],
  integer: ['minimum', 'maximum'],
};
const sizes = new Set(['minItems', 'maxItems', 'minLength', 'maxLength']);
const formats = ['date-time', 'date', 'time', 'email', 'uri', 'uuid'];
const maxDepth = 10;
const maxMembers = 100;

const isScalar = (value: unknown) => value === null || ['string', 'number', 'boolean'].includes(typeof value);

type Skip = (...at: Path) => void;

/**
 * The part of a schema that is checked, or null where that is nothing; `unchecked` are the places that are not, each as a path of
 * keywords with `/` between them.
 */
export function checkableSchema(given: Record<string, unknown>): { schema: JsonSchema | null; unchecked: string[] } {
  const unchecked: string[] = [];
  const skip = (...at: Path) => void (unchecked.length < maxMembers && unchecked.push(at.map(String).join('/')));
  const isOfObjects = given.type === undefined && isObject(given.properties);
  const schema = checkable(isOfObjects ? { type: 'object', ...given } : given, [], skip, 1);
  if (Object.keys(schema).length === 0) return { schema: null, unchecked };
  const taken = jsonSchema('').safeParse(schema);
  return taken.success ? { schema, unchecked } : { schema: null, unchecked: [''] };
}

function checkable(given: unknown, at: Path, skip: Skip, depth: number): JsonSchema {
  if (given === true) return {};
  if (!isObject(given) || depth > maxDepth) return (skip(...at), {});
  const type = typeOf(given, at, skip);
  const about = aboutOf(given);
  const choices = given.anyOf ?? given.oneOf;
  if (Array.isArray(choices) && choices.length > 0 && choices.length <= 20) {
    const name = given.anyOf ? 'anyOf' : 'oneOf';
    // Of `oneOf` that one fits is checked, and not that no other does.
    if (name === 'oneOf') skip(...at, name);
    skipOthers(given, [name, 'type', 'nullable'], at, skip);
    if (given.nullable === true) return about;
    return { anyOf: choices.map((one, index) => checkable(one, [...at, name, index], skip, depth + 1)), ...about };
  }
  const values = listOf(given);
  if (values) {
    skipOthers(given, ['enum', 'const', 'type', 'nullable'], at, skip);
    return given.nullable === true ? about : { ...(type && { type }), enum: values, ...about };
  }
  if (type === undefined) {
    skipOthers(given, [], at, skip);
    return about;
  }
  const taken = type.flatMap((one) => keywordsOf[one] ?? []);
  skipOthers(given, [...taken, 'type', 'nullable'], at, skip);
  return {
    type: type.length === 1 ? type[0] : type,
    ...bounds(given, taken, at, skip),
    ...inner(given, taken, at, skip, depth),
    ...about,
  };
}

/** What says nothing of a value, and is used all the same. */
function aboutOf({ description, deprecated }: Record<string, unknown>): JsonSchema {
  return {
    ...(typeof description === 'string' && { description: description.slice(0, 5_000) }),
    ...(deprecated === true && { deprecated }),
  };
}

function typeOf(given: Record<string, unknown>, at: Path, skip: Skip): string[] | undefined {
  if (given.type === undefined) return undefined;
  const all = [given.type].flat().filter((one): one is string => types.includes(one as string));
  if (all.length === 0 || all.length !== [given.type].flat().length) return (skip(...at, 'type'), undefined);
  return [...new Set(given.nullable === true ? [...all, 'null'] : all)];
}

/** What is one of a few values. */
function listOf({ enum: list, const: one }: Record<string, unknown>): unknown[] | undefined {
  const values = Array.isArray(list) ? list : one === undefined ? undefined : [one];
  return values && values.length > 0 && values.length <= maxMembers && values.every(isScalar) ? values : undefined;
}

function skipOthers(given: Record<string, unknown>, taken: string[], at: Path, skip: Skip): void {
  for (const keyword of Object.keys(given).slice(0, maxMembers)) {
    if (!taken.includes(keyword) && !annotations.has(keyword)) skip(...at, keyword);
  }
}

/** Keywords whose values say it all. */
function bounds(given: Record<string, unknown>, taken: string[], at: Path, skip: Skip): JsonSchema {
  const isGood = (keyword: string, value: unknown) => {
    if (sizes.has(keyword)) return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 1_000_000;
    return keyword === 'format' ? formats.includes(value as string) : Number.isFinite(value);
  };
  const found = ['minimum', 'maximum', 'format', ...sizes].filter(
    (one) => taken.includes(one) && given[one] !== undefined,
  );
  for (const keyword of found) if (!isGood(keyword, given[keyword])) skip(...at, keyword);
  return Object.fromEntries(found.filter((one) => isGood(one, given[one])).map((one) => [one, given[one]]));
}

/** Keywords that have schemas in them, and those about them. */
function inner(given: Record<string, unknown>, taken: string[], at: Path, skip: Skip, depth: number): JsonSchema {
  const schema: JsonSchema = {};
  if (taken.includes('items') && given.items !== undefined) {
    if (Array.isArray(given.items)) skip(...at, 'items');
    else schema.items = checkable(given.items, [...at, 'items'], skip, depth + 1);
  }
  if (!taken.includes('properties')) return schema;
  const all = isObject(given.properties) ? Object.entries(given.properties) : [];
  const shown = all.filter(([name]) => name !== '' && name.length <= 100 && name !== '__proto__').slice(0, maxMembers);
  if (shown.length < all.length) skip(...at, 'properties');
  const required = Array.isArray(given.required) ? given.required.filter((name) => typeof name === 'string') : [];
  const known = new Set(shown.map(([name]) => name));
  if (shown.length > 0) {
    const pairs = shown.map(([name, one]) => [name, checkable(one, [...at, 'properties', name], skip, depth + 1)]);
    schema.properties = Object.fromEntries(pairs);
  }
  const needed = [...new Set(required.filter((name) => known.has(name)))];
  if (needed.length > 0) schema.required = needed;
  if (needed.length < new Set(required).size) skip(...at, 'required');
  const { additionalProperties: others } = given;
  if (others === true || (others === false && shown.length === all.length)) schema.additionalProperties = others;
  else if (others !== undefined) skip(...at, 'additionalProperties');
  return schema;
}
