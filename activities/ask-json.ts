import { z } from 'zod';
import { endsAmidValue, isContainer, isObject, jsonValues } from '../src/llm/index.ts';
import { askModel } from './ask.ts';
import { requireNotHeld } from './at-work.ts';
import { callIdOf, type Answer, type Call } from './call.ts';
import type { ActivityDeps } from './deps.ts';
import { askWithMoreTokens, moreOutputTokens, mostOutputTokens } from './output-tokens.ts';

const maxAsks = 3;

/** Values that are looked at, from the end: what is asked for mostly stands there. */
const maxValues = 50;

/** What an answer that has the asked shape comes to, or what is wrong with it, in a sentence that a model can act on. */
export type Understood<T> = { value: T } | { fault: string };

/** A shape of JSON: how it is told, whether it is an account's own, and how a value is read as it. */
export type Shape<T> = {
  json_schema: Record<string, unknown>;
  is_accounts?: boolean;
  /** Reads the values of one answer. */
  reader: () => (value: unknown) => Understood<T>;
};

/** Asks for JSON of a shape of our own, as `askForShape` does. Returns undefined when no answer was valid. */
export async function askForJson<S extends z.ZodType, T>(
  deps: ActivityDeps,
  call: Call,
  schema: S,
  understand: (said: z.infer<S>, ask: number) => Understood<T>,
): Promise<({ value: T } & Pick<Answer, 'call_id' | 'warnings' | 'known'>) | undefined> {
  const asked = await askForShape(deps, call, shapeOf(schema), understand);
  if ('fault' in asked) return undefined;
  const { call_id, warnings, known } = asked.answer;
  return { value: asked.value, call_id, warnings, known };
}

/**
 * Asks for JSON of this shape. The last value of an answer that has it is taken. One that `understand` finds a fault in,
 * and an answer without such a value, is asked for again, at most twice: with all faults named so far, and with more
 * tokens where it was cut off. `understand` is told which ask it is. Returns the last fault when no answer was valid.
 */
export async function askForShape<S, T>(
  deps: ActivityDeps,
  call: Call,
  shape: Shape<S>,
  understand: (said: S, ask: number) => Understood<T>,
): Promise<{ value: T; answer: Answer } | { fault: string }> {
  const { json_schema, is_accounts } = shape;
  const request = { ...call.request, schema: { name: call.key.purpose, json_schema, is_accounts } };
  const faults: string[] = [];
  let { max_output_tokens } = request;
  if (neededMoreAsks(call)) max_output_tokens = moreOutputTokens(max_output_tokens);
  for (let ask = 1; ask <= maxAsks; ask += 1) {
    const asked = { ...call, request: { ...request, prompt: request.prompt + againWith(faults), max_output_tokens } };
    const hasMore = max_output_tokens > request.max_output_tokens;
    let answer = await (hasMore ? askWithMoreTokens(deps, asked, ask) : askModel(deps, asked, ask));
    // Nothing has been cut off yet: it may do with what is usual.
    if (!answer && ask === 1) {
      ({ max_output_tokens } = request);
      await requireNotHeld(deps, call.key.run_id);
      answer = await askModel(deps, { ...call, request }, ask);
    }
    if (!answer) break;
    const { text, finish } = answer;
    const said = lastThatFits(shape, text);
    // A sample that the model repeats, and then its own answer, of which only a part came.
    const isCut = finish === 'length' && ('fault' in said || endsAmidValue(text));
    if (isCut) {
      faults.push('it was cut off because it is too long.');
      if (max_output_tokens === mostOutputTokens) break;
      max_output_tokens = moreOutputTokens(max_output_tokens);
      continue;
    }
    const understood = 'fault' in said ? said : understand(said.value, ask);
    if ('value' in understood) return { value: understood.value, answer };
    faults.push(understood.fault);
  }
  return { fault: faults.at(-1) ?? 'it was not given.' };
}

/** Models that think need more tokens than the words of an answer. A run that has met one of them does not begin with less. */
function neededMoreAsks({ key, known }: Call): boolean {
  const own = callIdOf(key, 1).slice(0, -1);
  return [...known.paid_calls].some(
    (id) => id.includes(`/${key.purpose}/`) && /\/[2-9]$/.test(id) && !id.startsWith(own),
  );
}

/** The same question is never put twice: all that was wrong before stands in it. */
function againWith(faults: string[]): string {
  if (faults.length === 0) return '';
  const which = faults.length === 1 ? 'Your last answer' : `Each of your last ${faults.length} answers`;
  return `\n\n${which} cannot be used: ${faults.join(' Then: ')} Answer again, with JSON only.`;
}

/** The last value in an answer that has this shape. What is wrong with one without is told of the last object in it. */
export function lastThatFits<T>(shape: Shape<T>, text: string): Understood<T> {
  const readOne = shape.reader();
  let fault: string | undefined;
  let values = jsonValues(text);
  // Some servers send JSON as a text of JSON.
  if (values.length === 1 && typeof values[0] === 'string') values = jsonValues(values[0]);
  for (const value of values.slice(-maxValues).toReversed()) {
    const read = readWrapped(readOne, value);
    if ('value' in read) return read;
    if (isObject(value)) fault ??= read.fault;
  }
  return { fault: fault ?? (text.trim() ? 'The answer is not valid JSON.' : 'The answer is empty; expected JSON.') };
}

/** A value as its shape; also the only member of an object or a list, around which it was put. */
function readWrapped<T>(read: (value: unknown) => Understood<T>, value: unknown): Understood<T> {
  const whole = read(value);
  if ('value' in whole) return whole;
  const [inner, ...more] = isContainer(value) ? Object.values(value) : [];
  const wrapped = isContainer(inner) && more.length === 0 ? read(inner) : whole;
  return 'value' in wrapped ? wrapped : whole;
}

function shapeOf<S extends z.ZodType>(schema: S): Shape<z.infer<S>> {
  return { json_schema: wireSchema(schema), reader: () => (value) => parse(schema, value) };
}

function parse<S extends z.ZodType>(schema: S, value: unknown): Understood<z.infer<S>> {
  try {
    const { success, data, error } = schema.safeParse(value);
    return success ? { value: data } : { fault: z.prettifyError(error).slice(0, 1_000) };
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
