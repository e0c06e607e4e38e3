import { isObject } from './json.ts';

const KEYWORDS = ['type', 'description', 'enum', 'const', '$ref'];

type JsonSchema = Record<string, unknown>;

/**
 * A JSON schema within what the vendors' strict modes take: every property required, no others allowed, and no limits
 * of length, number or form; OpenAI and Anthropic answer those with a 400. Whoever reads the answer checks the limits.
 */
export function strictSchema(schema: JsonSchema): JsonSchema {
  const known = strictSchemas.get(schema) ?? makeStrict(schema);
  strictSchemas.set(schema, known);
  return known;
}

/** Ours are asked for again and again. */
const strictSchemas = new WeakMap<JsonSchema, JsonSchema>();

function makeStrict(schema: JsonSchema): JsonSchema {
  const strict: JsonSchema = {};
  for (const keyword of KEYWORDS) if (keyword in schema) strict[keyword] = schema[keyword];
  for (const keyword of ['properties', '$defs']) {
    if (schema[keyword]) strict[keyword] = strictValues(schema[keyword] as Record<string, JsonSchema>);
  }
  if (schema.items) strict.items = makeStrict(schema.items as JsonSchema);
  const choices = (schema.anyOf ?? schema.oneOf) as JsonSchema[] | undefined;
  if (choices) strict.anyOf = choices.map(makeStrict);
  if ([schema.type].flat().includes('object')) {
    strict.required = Object.keys(schema.properties ?? {});
    strict.additionalProperties = schema.properties ? false : (schema.additionalProperties ?? false);
  }
  return strict;
}

function strictValues(schemas: Record<string, JsonSchema>): Record<string, JsonSchema> {
  return Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, makeStrict(schema)]));
}

/**
 * An account's schema as a strict mode can say it: what need not be given may be null in its place, which `withoutStandIns`
 * takes out again. Undefined where strict mode would ask for something else: for objects without any members and values
 * that must be texts, where all are allowed.
 */
export function sayable(schema: JsonSchema): JsonSchema | undefined {
  return isSayable(schema) ? withStandIns(schema) : undefined;
}

function isSayable(schema: JsonSchema, isChoice = false): boolean {
  const { type, items, anyOf, additionalProperties, properties = {} } = schema as Node;
  if (anyOf) return anyOf.every((one) => isSayable(one, true));
  if (schema.enum || schema.const !== undefined) return true;
  const types = [type].flat();
  const isOpen = additionalProperties ?? Object.keys(properties).length === 0;
  if (type === undefined || (types.includes('array') && !items) || (types.includes('object') && isOpen)) return false;
  // Which of several choices was meant is not known where the stand-ins are taken out.
  if (isChoice && optionalsOf(schema).length > 0) return false;
  return [...Object.values(properties), ...(items ? [items] : [])].every((one) => isSayable(one, isChoice));
}

function withStandIns(schema: JsonSchema): JsonSchema {
  const { items, properties } = schema as Node;
  const optionals = new Set(optionalsOf(schema));
  const members = Object.entries(properties ?? {}).map(([name, inner]) => {
    const said = withStandIns(inner);
    return [
      name,
      optionals.has(name) ? { anyOf: [...((said.anyOf as JsonSchema[]) ?? [said]), { type: 'null' }] } : said,
    ];
  });
  return {
    ...schema,
    ...(properties && { properties: Object.fromEntries(members) }),
    ...(items && { items: withStandIns(items) }),
  };
}

/** A value without the nulls that stand for what an account's schema does not require. */
export function withoutStandIns(schema: JsonSchema, value: unknown): unknown {
  const { items, properties } = schema as Node;
  if (Array.isArray(value)) return items ? value.map((item) => withoutStandIns(items, item)) : value;
  if (!properties || !isObject(value)) return value;
  const optionals = new Set(optionalsOf(schema));
  const members = Object.entries(value).filter(([name, member]) => member !== null || !optionals.has(name));
  return Object.fromEntries(
    members.map(([name, member]) => {
      const inner = Object.hasOwn(properties, name) ? properties[name]! : {};
      return [name, withoutStandIns(inner, member)];
    }),
  );
}

type Node = {
  type?: string | string[];
  properties?: Record<string, JsonSchema>;
  required?: string[];
  additionalProperties?: boolean;
  items?: JsonSchema;
  anyOf?: JsonSchema[];
};

/** The properties that need not be given, and are not null of their own. */
function optionalsOf(schema: JsonSchema): string[] {
  const { properties = {}, required = [] } = schema as Node;
  return Object.entries(properties).flatMap(([name, inner]) =>
    required.includes(name) || mayBeNull(inner) ? [] : [name],
  );
}

function mayBeNull(schema: JsonSchema): boolean {
  const { type, anyOf } = schema as Node;
  if (anyOf) return anyOf.some(mayBeNull);
  if (schema.enum) return (schema.enum as unknown[]).includes(null);
  return type === undefined ? schema.const === undefined || schema.const === null : [type].flat().includes('null');
}
