type JsonSchema = Record<string, unknown>;

const formats: Record<string, string> = {
  'date-time': '2026-01-01T00:00:00Z',
  date: '2026-01-01',
  time: '00:00:00Z',
  email: 'demo@example.com',
  uri: 'https://example.com/',
  uuid: '00000000-0000-4000-8000-000000000000',
};

/** A value of this JSON schema, with `text` as every text: what the demo model says where JSON is asked for. It looks at no bounds. */
export function exampleOf(schema: JsonSchema, text: string): unknown {
  const { const: only, enum: choices, anyOf, format, properties = {}, items } = schema;
  if (only !== undefined) return only;
  if (Array.isArray(choices)) return choices[0];
  if (Array.isArray(anyOf)) return exampleOf(anyOf[0] as JsonSchema, text);
  switch ([schema.type].flat()[0]) {
    case 'object': {
      const members = Object.entries(properties as Record<string, JsonSchema>);
      return Object.fromEntries(members.map(([name, inner]) => [name, exampleOf(inner, text)]));
    }
    case 'array':
      return items ? [exampleOf(items as JsonSchema, text)] : [];
    case 'number':
    case 'integer':
      return 1;
    case 'boolean':
      return true;
    case 'string':
      return formats[String(format)] ?? text;
    default:
      return null;
  }
}
