type Json = Record<string, any>;

/** What is shown as it is. */
const examples = new Set(['example', 'examples']);

/**
 * A part of the OpenAPI document, so that all generators of clients make the same of it. `npm run clients` tries them; some
 * take what zod says for something else:
 * - A `default` makes a field required for openapi-typescript, and others send it themselves, for ever that of the day
 *   on which they were generated. The description says it instead.
 * - `\w` and `\d` are more letters and digits in Python than they are here: they are written out. A text that may be null
 *   has no pattern: the Go of OpenAPI Generator would take no value at all.
 * - Of an `anyOf` not all can tell which one is meant. `oneOf` says the same of ours: no value is of two of them. Where one
 *   of them is an object of any fields, any value may stand: typescript-fetch would send `{}` in its place.
 * - Values of any kind are `{}` to zod and `true` here: of `{}` OpenAPI Generator makes Go and Java that do not compile.
 */
export function toPortable(part: unknown): unknown {
  if (Array.isArray(part)) return part.map(toPortable);
  if (typeof part !== 'object' || part === null) return part;
  const told = mapValues(part, (value, key) => {
    if (examples.has(key)) return value;
    // The keys in here are names of fields, and one may be called "default".
    return key === 'properties' ? mapValues(value, toPortable) : toPortable(value);
  });
  const { default: preset, pattern, anyOf, ...schema } = told;
  if (anyOf && !anyOf.some(isOpen)) schema.oneOf = anyOf;
  if (pattern && !isNullable(schema)) schema.pattern = inAscii(pattern);
  if (isEmpty(schema.additionalProperties)) schema.additionalProperties = true;
  if (isTold(preset)) schema.description = [schema.description, `Default: \`${textOf(preset)}\`.`].join(' ').trim();
  // A parameter says it beside its schema once more.
  if (schema.in && schema.schema?.description) schema.description = schema.schema.description;
  return schema;
}

function mapValues(values: object, map: (value: any, key: string) => unknown): Json {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, map(value, key)]));
}

function isOpen({ type, properties }: Json): boolean {
  return type === 'object' && properties === undefined;
}

function isNullable({ type }: Json): boolean {
  return Array.isArray(type) && type.includes('null');
}

/** A field that is not given is empty, unless something else is told. */
function isTold(preset: unknown): boolean {
  return preset !== undefined && preset !== null && preset !== '' && !isEmpty(preset);
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}

function textOf(preset: unknown): string {
  return typeof preset === 'string' ? preset : JSON.stringify(preset);
}

const classes: Json = { '\\w': 'A-Za-z0-9_', '\\d': '0-9' };

/** A pattern with its classes written out, within brackets and outside. */
function inAscii(pattern: string): string {
  return pattern.replaceAll(/\[[^\]]*\]|\\[wd]/g, (part) => {
    const written = part.replaceAll(/\\[wd]/g, (name) => classes[name]);
    return part.startsWith('[') ? written : `[${written}]`;
  });
}
