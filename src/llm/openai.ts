import OpenAI from 'openai';
import { z } from 'zod';
import { badAnswer, readAnswer, refused } from './answer.ts';
import { besideCall, besideMessage, gatherBeside, pickBesideCall } from './beside.ts';
import type { Dialect } from './dialect.ts';
import { reportedError } from './failures.ts';
import { finished } from './finish.ts';
import type { ModelAnswer, ModelRequest, ModelTarget } from './model.ts';
import { refusalIn, textIn } from './parts.ts';
import { gatherCalls } from './streamed-calls.ts';
import { strictSchema } from './structured.ts';
import { argumentsOf, functionTools, resultText, toolCalls } from './tools.ts';
import { count, countsOf, risen, type Counted } from './usage.ts';
import { NO_SDK_TIMEOUT, type Wire } from './wire.ts';

const id = z.union([z.string(), z.number().transform(String)]).nullish();

/** A message, or what a chunk adds to it. */
const message = z.looseObject({
  content: z.union([z.string(), z.array(z.unknown()), z.looseObject({})]).nullish(),
  refusal: z.string().nullish().catch(null),
  tool_calls: z
    .array(
      z.looseObject({
        index: z.number().nullish().catch(null),
        id,
        function: z.object({ name: z.string().nullish(), arguments: z.unknown().optional() }).nullish(),
      }),
    )
    .nullish(),
});
type Message = z.infer<typeof message>;

/** A whole answer, or a chunk of one. */
const completion = z.object({
  model: z.string().nullish(),
  choices: z
    .array(
      z.object({
        message: message.nullish(),
        delta: message.nullish(),
        finish_reason: z.string().nullish(),
        error: z.looseObject({}).nullish().catch(null),
      }),
    )
    .nullish(),
  usage: countsOf({
    prompt_tokens: count,
    completion_tokens: count,
    total_tokens: count,
    completion_tokens_details: countsOf({ reasoning_tokens: count }),
  }),
});

/** The SDK's client of a server, which asks once, with these headers and nothing of the environment's. */
export function openOpenAI(
  { api_key, base_url }: Omit<ModelTarget, 'vendor'>,
  wire: Wire,
  headers: Parameters<Wire['sending']>[0] = {},
): OpenAI {
  return new OpenAI({
    apiKey: api_key || 'none',
    baseURL: base_url || 'https://api.openai.com/v1',
    organization: null,
    project: null,
    adminAPIKey: null,
    webhookSecret: null,
    maxRetries: 0,
    timeout: NO_SDK_TIMEOUT,
    logLevel: 'off',
    fetch: wire.sending({ authorization: api_key && `Bearer ${api_key}`, ...headers }),
  });
}

/** OpenAI chat completions, which most other servers speak too (vLLM, LM Studio, OpenRouter, …). */
export async function callOpenAI(
  target: ModelTarget,
  request: ModelRequest,
  dialect: Dialect,
  wire: Wire,
): Promise<ModelAnswer> {
  const client = openOpenAI(target, wire, { 'idempotency-key': request.idempotency_key });
  const response = await client.chat.completions
    .create(
      {
        model: target.model,
        messages: messagesOf(request),
        [dialect.limit]: request.max_output_tokens,
        ...(wire.on_delta && { stream: true }),
        ...(wire.on_delta && dialect.stream === 'counted' && { stream_options: { include_usage: true } }),
        ...responseFormat(request, dialect),
        ...toolsOf(request),
      },
      { signal: wire.signal },
    )
    .asResponse();
  return readCompletion(target, request, response, wire);
}

function messagesOf({ system, prompt, turns = [] }: ModelRequest): OpenAI.ChatCompletionMessageParam[] {
  return [
    ...(system ? [{ role: 'system' as const, content: system }] : []),
    { role: 'user', content: prompt },
    ...turns.flatMap(({ text, calls, results }): OpenAI.ChatCompletionMessageParam[] => [
      {
        role: 'assistant',
        content: text || null,
        ...besideMessage(calls),
        tool_calls: calls.map((call) => ({
          id: call.id,
          type: 'function',
          function: { name: call.name, arguments: JSON.stringify(argumentsOf(call)) },
          ...besideCall(call),
        })),
      },
      ...results.map((result, index) => ({
        role: 'tool' as const,
        tool_call_id: calls[index]!.id,
        content: resultText(result),
      })),
    ]),
  ];
}

function toolsOf({ tools, tool_choice }: ModelRequest) {
  if (!tools?.length) return {};
  const choice = typeof tool_choice === 'object' ? { type: 'function' as const, function: tool_choice } : tool_choice;
  return { tools: functionTools(tools), ...(choice && { tool_choice: choice }) };
}

function responseFormat({ schema }: ModelRequest, { json }: Dialect) {
  if (!schema) return {};
  if (json === 'json') return { response_format: { type: 'json_object' as const } };
  const json_schema = { name: schema.name, strict: true, schema: strictSchema(schema.json_schema) };
  return { response_format: { type: 'json_schema' as const, json_schema } };
}

/** Puts a whole answer, or the chunks of one, together and checks it. */
async function readCompletion(
  target: ModelTarget,
  request: ModelRequest,
  response: Response,
  wire: Wire,
): Promise<ModelAnswer> {
  let text = '';
  let refusal = '';
  let model = target.model;
  let finish_reason: string | undefined;
  let usage: z.infer<typeof completion>['usage'];
  let hasBegun = false;
  const gathered = gatherCalls();
  const beside = gatherBeside();
  for await (const chunk of readAnswer(target, completion, response)) {
    const [choice] = chunk.choices ?? [];
    if (choice?.error) throw reportedError(target, { error: choice.error });
    // At the end of a stream, some servers send the whole message besides.
    const said = choice?.delta ?? (hasBegun ? undefined : choice?.message);
    hasBegun ||= choice !== undefined;
    const piece = textIn(said?.content);
    if (piece) wire.on_delta?.(piece);
    wire.hear(piece, said?.refusal, said?.reasoning_content ?? said?.reasoning);
    text += piece;
    refusal += said?.refusal ?? refusalIn(said?.content);
    for (const call of said?.tool_calls ?? []) {
      wire.hear(call.function?.arguments);
      gathered.add(pieceOf(call), !choice?.delta);
    }
    beside.add(said ?? {});
    finish_reason = choice?.finish_reason || finish_reason;
    model = chunk.model || model;
    usage = risen(usage, chunk.usage);
  }
  if (!hasBegun) throw badAnswer(target, 'sent something that is not an answer (choices: there are none)');
  if (refusal) throw refused(target, refusal);
  const tool_calls = toolCalls(beside.with(gathered.calls()), request.turns);
  return finished(target, request, finish_reason, { text, tool_calls, model }, countedIn(usage));
}

function countedIn(usage: z.infer<typeof completion>['usage']): Counted {
  return {
    input: usage?.prompt_tokens,
    output: usage?.completion_tokens,
    reasoning: usage?.completion_tokens_details?.reasoning_tokens,
    total: usage?.total_tokens,
  };
}

function pieceOf(call: NonNullable<Message['tool_calls']>[number]) {
  const { index, id: call_id, function: called } = call;
  return { index, id: call_id, ...called, beside: pickBesideCall(call) };
}
