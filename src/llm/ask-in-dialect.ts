import { createHash } from 'node:crypto';
import { otherwise, usualDialect, withoutSchema, type Dialect } from './dialect.ts';
import { LlmError, type ModelAnswer, type ModelRequest, type ModelTarget, type ToolTurn } from './model.ts';
import { sayable } from './structured.ts';
import { madeCallId } from './tools.ts';
import { marksBeside, visibleDeltas } from './thoughts.ts';
import type { Wire } from './wire.ts';

/** Every part of a dialect can change, but nobody should wait long for a server that refuses all. */
const mostRefusals = 6;

/**
 * Asks in the dialect that the server is known to speak. What it refuses by name is asked for in another way at once,
 * for a refusal is free. How it answered then is remembered, so that the next call need not be refused first; not where
 * an account's schema was asked for, as others may ask the same server. What is heard of an answer while it comes is as
 * free of thoughts as the answer itself, as soon as the server is known.
 */
export async function askInDialect(
  target: ModelTarget,
  request: ModelRequest,
  wire: Wire,
  ask: (request: ModelRequest, dialect: Dialect) => Promise<ModelAnswer>,
): Promise<ModelAnswer> {
  const { on_delta } = wire;
  const recalled = recall(target);
  const known = { ...recalled, ...waysOf(target, request, recalled) };
  let changed: Partial<Dialect> = {};
  for (let refusals = 0; ; refusals += 1) {
    const learned = { ...known, ...changed };
    const dialect = { ...usualDialect(target), ...learned };
    const most = mostTokensIn(dialect);
    if (most < (request.least_output_tokens ?? 0)) {
      throw new LlmError('LlmBadRequest', `${target.model} writes at most ${most} tokens.`);
    }
    const visible =
      dialect.stream !== 'none' && on_delta && visibleDeltas(on_delta, dialect.begins === 'amid', marksBeside(request));
    wire.on_delta = visible ? visible.push : undefined;
    try {
      const answer = await ask(inWords(request, dialect, learned), dialect);
      if (visible && visible.end() > answer.text.length) changed = { ...changed, begins: 'amid' };
      if (Object.keys(changed).length && !request.schema?.is_accounts) remember(target, { ...learned, ...changed });
      return answer;
    } catch (error) {
      const refusal = { target, request, dialect, changed, streams: on_delta !== undefined };
      const change = refusals < mostRefusals ? otherwise(refusal, wire.failure ?? error) : undefined;
      if (!change) throw error;
      changed = { ...changed, ...change };
      wire.asked = undefined;
    } finally {
      wire.on_delta = on_delta;
    }
  }
}

/** An account's schema of which a strict mode would make something else is not asked for by parameter. */
function waysOf({ vendor }: ModelTarget, { schema }: ModelRequest, { json }: Partial<Dialect>): Partial<Dialect> {
  if (json || !schema?.is_accounts || sayable(schema.json_schema)) return {};
  return { json: withoutSchema(vendor) };
}

function mostTokensIn({ most_tokens, fitting_tokens }: Dialect): number {
  return Math.min(most_tokens, fitting_tokens);
}

/** The request with that in words for which the dialect has no parameter, and without what it must not have. */
function inWords(request: ModelRequest, dialect: Dialect, learned: Partial<Dialect>): ModelRequest {
  const max_output_tokens = Math.min(request.max_output_tokens, mostTokensIn(dialect));
  const { schema } = request;
  let asked: ModelRequest = { ...request, max_output_tokens };
  if (dialect.json !== 'schema') asked = withSchemaInWords(asked, dialect.json);
  else if (schema?.is_accounts) asked.schema = { ...schema, json_schema: sayable(schema.json_schema)! };
  if (dialect.tool_choice === 'words') asked = withChoiceInWords(asked);
  if (dialect.call_ids === 'made') asked.turns = asked.turns?.map(withMadeIds);
  if (dialect.metadata === 'dropped') asked.turns = asked.turns?.map(withoutMetadata);
  if (dialect.system === 'prompt') asked = { ...asked, system: '', prompt: `${asked.system}\n\n${asked.prompt}` };
  // One key, one body: what is asked otherwise is another request.
  const { json: _json, begins: _begins, ...others } = learned;
  const ways = [schema ? dialect.json : 'words', ...Object.values(others)];
  asked.idempotency_key &&= `${asked.idempotency_key}-${ways.join('-')}`;
  return asked;
}

function withSchemaInWords(request: ModelRequest, json: 'json' | 'words'): ModelRequest {
  const { schema, system } = request;
  if (!schema) return request;
  const words =
    'Answer with one JSON object only, no other text and no code fence. It must match this JSON schema:\n' +
    JSON.stringify(schema.json_schema);
  return { ...request, system: `${system}\n\n${words}`, schema: json === 'words' ? undefined : schema };
}

function withChoiceInWords(request: ModelRequest): ModelRequest {
  const { tools, tool_choice, system } = request;
  if (!tool_choice) return request;
  if (tool_choice === 'none') return { ...request, tools: undefined, tool_choice: undefined };
  return {
    ...request,
    system: `${system}\n\nAnswer with a call of the tool ${tool_choice.name}.`,
    tools: tools?.filter(({ name }) => name === tool_choice.name),
    tool_choice: undefined,
  };
}

function withMadeIds(turn: ToolTurn, at: number): ToolTurn {
  return { ...turn, calls: turn.calls.map((call, index) => ({ ...call, id: madeCallId(at, index) })) };
}

function withoutMetadata(turn: ToolTurn): ToolTurn {
  const calls = turn.calls.map(({ vendor_metadata: _metadata, signature: _signature, ...call }) => call);
  return { ...turn, calls };
}

/**
 * What servers refused lately, in this process: it is learned again by one refusal, which is free, so it need not be
 * stored. An hour, because servers are upgraded. By key as well: what a vendor refuses to one customer, it may not to
 * another; and hashed, because keys are kept nowhere in the clear.
 */
const memory = new Map<string, { learned: Partial<Dialect>; until: number }>();
const memorySize = 1_000;
const memory_ms = 3_600_000;

function keyOf({ vendor, base_url, model, api_key }: ModelTarget): string {
  return createHash('sha256')
    .update(JSON.stringify([vendor, base_url, model, api_key]))
    .digest('base64');
}

function recall(target: ModelTarget): Partial<Dialect> {
  const known = memory.get(keyOf(target));
  return known && known.until > Date.now() ? known.learned : {};
}

function remember(target: ModelTarget, { fitting_tokens: _ofThisCall, ...learned }: Partial<Dialect>): void {
  const key = keyOf(target);
  memory.delete(key);
  if (memory.size >= memorySize) memory.delete(memory.keys().next().value!);
  memory.set(key, { learned, until: Date.now() + memory_ms });
}
