import { z } from 'zod';
import { parseJsonAnswer } from '../src/llm/index.ts';
import { askModel, type Call } from './ask.ts';
import type { ActivityDeps } from './deps.ts';

const maxAsks = 3;

/**
 * Asks for JSON of this shape. An answer that does not parse, or in which `faultOf` finds a fault, is asked again with
 * the fault named, at most twice. Returns undefined when no answer was valid.
 */
export async function askForJson<S extends z.ZodType>(
  deps: ActivityDeps,
  call: Call,
  schema: S,
  faultOf: (value: z.infer<S>) => string | undefined = () => undefined,
): Promise<{ value: z.infer<S>; call_id: string; warnings: string[] } | undefined> {
  const request = { ...call.request, schema: { name: call.key.purpose, json_schema: wireSchema(schema) } };
  let fault: string | undefined;
  for (let ask = 1; ask <= maxAsks; ask += 1) {
    const again = fault && `\n\nYour last answer cannot be used: ${fault} Answer again, with JSON only.`;
    const prompt = request.prompt + (again ?? '');
    const { text, finish, call_id, warnings } = await askModel(deps, { ...call, request: { ...request, prompt } }, ask);
    const parsed = parse(schema, text);
    if ('fault' in parsed) fault = finish === 'length' ? 'it was cut off because it is too long.' : parsed.fault;
    else {
      fault = faultOf(parsed.value);
      if (!fault) return { value: parsed.value, call_id, warnings };
    }
  }
  return undefined;
}

function parse<S extends z.ZodType>(schema: S, text: string): { value: z.infer<S> } | { fault: string } {
  try {
    const result = schema.safeParse(parseJsonAnswer(text));
    return result.success ? { value: result.data } : { fault: z.prettifyError(result.error).slice(0, 1_000) };
  } catch (error) {
    return { fault: (error as Error).message };
  }
}

const wireSchemas = new WeakMap<z.ZodType, Record<string, unknown>>();

/** The subset of JSON Schema that every vendor takes; the rest is checked by zod. */
function wireSchema(schema: z.ZodType): Record<string, unknown> {
  const known = wireSchemas.get(schema);
  if (known) return known;
  const { $schema: _, ...json_schema } = z.toJSONSchema(schema, {
    override: ({ jsonSchema }) => {
      for (const limit of ['minLength', 'maxLength', 'minItems', 'maxItems', 'minimum', 'maximum'] as const) {
        delete jsonSchema[limit];
      }
    },
  });
  wireSchemas.set(schema, json_schema);
  return json_schema;
}
