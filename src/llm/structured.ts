const KEYWORDS = ['type', 'description', 'enum', 'const', '$ref'];

type JsonSchema = Record<string, unknown>;

/**
 * A JSON schema within what the vendors' strict modes take: every property required, no others allowed, and no limits
 * of length, number or form; OpenAI and Anthropic answer those with a 400. Whoever reads the answer checks the limits.
 */
export function strictSchema(schema: JsonSchema): JsonSchema {
  const strict: JsonSchema = {};
  for (const keyword of KEYWORDS) if (keyword in schema) strict[keyword] = schema[keyword];
  for (const keyword of ['properties', '$defs']) {
    if (schema[keyword]) strict[keyword] = strictValues(schema[keyword] as Record<string, JsonSchema>);
  }
  if (schema.items) strict.items = strictSchema(schema.items as JsonSchema);
  const choices = (schema.anyOf ?? schema.oneOf) as JsonSchema[] | undefined;
  if (choices) strict.anyOf = choices.map(strictSchema);
  if (schema.type === 'object') {
    strict.required = Object.keys(schema.properties ?? {});
    strict.additionalProperties = schema.properties ? false : (schema.additionalProperties ?? false);
  }
  return strict;
}

function strictValues(schemas: Record<string, JsonSchema>): Record<string, JsonSchema> {
  return Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, strictSchema(schema)]));
}
