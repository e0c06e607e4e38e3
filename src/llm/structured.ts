import { LlmError, type ModelAnswer, type ModelRequest } from './model.ts';
import type { Wire } from './wire.ts';

/** How JSON is asked for: by the vendor's schema parameter, by its "some JSON" switch, or by words alone. */
export type JsonMode = 'schema' | 'json' | 'words';

/**
 * Asks with the strictest mode first and steps down when the server refuses it: old models and compatible servers know
 * only some. A refusal is free, so nothing is paid twice.
 */
export async function withJsonModes(
  modes: JsonMode[],
  request: ModelRequest,
  wire: Wire,
  ask: (request: ModelRequest, mode: JsonMode) => Promise<ModelAnswer>,
): Promise<ModelAnswer> {
  const [mode = 'words', ...weaker] = request.schema ? modes : [];
  try {
    return await ask(mode === 'schema' ? request : withSchemaInWords(request), mode);
  } catch (error) {
    if (!weaker.length || !refusesMode(wire.failure ?? error)) throw error;
    return withJsonModes(weaker, request, wire, ask);
  }
}

function refusesMode(failure: unknown): boolean {
  if (!(failure instanceof LlmError) || failure.type !== 'LlmBadRequest') return false;
  return /format|schema|json|structured|grammar|mime/i.test(failure.message);
}

function withSchemaInWords(request: ModelRequest): ModelRequest {
  if (!request.schema) return request;
  const schema = JSON.stringify(request.schema.json_schema);
  const words = `Answer with one JSON object only, no other text and no code fence. It must match this JSON schema:\n${schema}`;
  return { ...request, system: `${request.system}\n\n${words}` };
}

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
