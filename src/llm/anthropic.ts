import Anthropic from '@anthropic-ai/sdk';
import { z } from 'zod';
import { badAnswer, finished, readAnswer, readStream, refused, truncated } from './answer.ts';
import type { ModelAnswer, ModelRequest, ModelTarget } from './model.ts';
import { strictSchema, withJsonModes, type JsonMode } from './structured.ts';
import { argumentsOf, newCallId, toolCall } from './tools.ts';
import { count, countsOf, risen, usageOf } from './usage.ts';
import { NO_SDK_TIMEOUT, type Wire } from './wire.ts';

const block = z.object({
  type: z.string(),
  text: z.string().optional(),
  id: z.string().optional(),
  name: z.string().optional(),
  input: z.unknown().optional(),
});
type Block = z.infer<typeof block>;

const message = z.object({
  model: z.string(),
  content: z.array(block),
  stop_reason: z.string().nullish(),
  stop_details: z.object({ category: z.string().nullish() }).nullish().catch(null),
  usage: countsOf({
    input_tokens: count,
    output_tokens: count,
    cache_creation_input_tokens: count,
    cache_read_input_tokens: count,
  }),
});

const streamEvent = z.object({
  message: message.partial().optional(),
  index: z.number().optional(),
  content_block: block.optional(),
  delta: z
    .object({
      text: z.string().optional(),
      partial_json: z.string().optional(),
      stop_reason: z.string().nullish(),
      stop_details: message.shape.stop_details,
    })
    .optional(),
  usage: message.shape.usage,
});

/** Anthropic messages. Models before Claude 4.5 refuse `output_config`; the schema then goes into the prompt. */
export async function callAnthropic(target: ModelTarget, request: ModelRequest, wire: Wire): Promise<ModelAnswer> {
  return withJsonModes(['schema', 'words'], request, wire, (asked, mode) => create(target, asked, mode, wire));
}

async function create(target: ModelTarget, request: ModelRequest, mode: JsonMode, wire: Wire): Promise<ModelAnswer> {
  const client = new Anthropic({
    apiKey: target.api_key || 'none',
    authToken: null,
    webhookKey: null,
    baseURL: target.base_url || 'https://api.anthropic.com',
    maxRetries: 0,
    timeout: NO_SDK_TIMEOUT,
    logLevel: 'off',
    openTelemetry: { traces: { enabled: false }, propagation: false },
    fetch: wire.sending({
      'x-api-key': target.api_key,
      // Gateways differ in which of the two they read.
      authorization: target.base_url && target.api_key && `Bearer ${target.api_key}`,
      'anthropic-version': '2023-06-01',
      'idempotency-key': request.idempotency_key && `${request.idempotency_key}-${mode}`,
    }),
  });
  const schema = mode === 'schema' && request.schema ? strictSchema(request.schema.json_schema) : undefined;
  const asked: Anthropic.MessageCreateParamsNonStreaming = {
    model: target.model,
    max_tokens: request.max_output_tokens,
    system: request.system,
    messages: messagesOf(request),
    ...(schema && { output_config: { format: { type: 'json_schema', schema } } }),
    ...toolsOf(request),
  };
  const { signal } = wire;
  const body: unknown = wire.on_delta
    ? await gather(target, await client.messages.create({ ...asked, stream: true }, { signal }), wire)
    : await client.messages.create(asked, { signal });
  return fromMessage(target, request, body);
}

function messagesOf({ prompt, turns = [] }: ModelRequest): Anthropic.MessageParam[] {
  return [
    { role: 'user', content: prompt },
    ...turns.flatMap(({ text, calls, results }): Anthropic.MessageParam[] => [
      {
        role: 'assistant',
        content: [
          // A text without words is refused.
          ...(text.trim() ? [{ type: 'text' as const, text }] : []),
          ...calls.map((call) => ({
            type: 'tool_use' as const,
            id: call.id,
            name: call.name,
            input: argumentsOf(call),
          })),
        ],
      },
      {
        role: 'user',
        content: results.map((result, index) => ({
          type: 'tool_result' as const,
          tool_use_id: calls[index]!.id,
          content: result.text,
          ...(result.is_error && { is_error: true }),
        })),
      },
    ]),
  ];
}

function toolsOf({ tools, tool_choice }: ModelRequest): Partial<Anthropic.MessageCreateParamsNonStreaming> {
  if (!tools?.length) return {};
  const choice: Anthropic.ToolChoice | undefined =
    typeof tool_choice === 'object' ? { type: 'tool', name: tool_choice.name } : tool_choice && { type: tool_choice };
  return {
    tools: tools.map(({ name, description, json_schema }) => ({
      name,
      description,
      input_schema: { ...json_schema, type: 'object' },
    })),
    ...(choice && { tool_choice: choice }),
  };
}

/** The message that a stream adds up to. */
async function gather(target: ModelTarget, stream: AsyncIterable<unknown>, wire: Wire): Promise<unknown> {
  let usage: z.infer<typeof message>['usage'];
  const whole = {};
  const content: Block[] = [];
  for await (const event of readStream(target, streamEvent, stream)) {
    const { text, partial_json, ...stop } = event.delta ?? {};
    if (text) wire.on_delta?.(text);
    if (event.index !== undefined) {
      const begun = (content[event.index] ??= event.content_block ?? { type: 'text', input: '' });
      // The input of a call comes as text, after an empty object.
      if (event.content_block?.type === 'tool_use') begun.input = '';
      if (text) begun.text = (begun.text ?? '') + text;
      if (partial_json) begun.input = `${begun.input as string}${partial_json}`;
    }
    Object.assign(whole, event.message, stop);
    // At the start the output is counted as far as it is then, which is nowhere.
    const atStart = event.message?.usage && { ...event.message.usage, output_tokens: undefined };
    usage = risen(usage, risen(atStart, event.usage));
  }
  return { ...whole, content: content.filter(Boolean), usage };
}

function fromMessage(target: ModelTarget, request: ModelRequest, body: unknown): ModelAnswer {
  const { model, content, stop_reason, stop_details, usage } = readAnswer(target, message, body);
  if (!stop_reason) throw truncated(target);
  if (stop_reason === 'refusal') throw refused(target, stop_details?.category ?? 'refusal');
  const said = {
    text: content.map(({ type, text }) => (type === 'text' ? (text ?? '') : '')).join(''),
    tool_calls: content
      .filter(({ type }) => type === 'tool_use')
      .map(({ id, name = '', input }, index) =>
        toolCall({ id, name, arguments: input }, newCallId(request.turns, index)),
      ),
  };
  const { input_tokens = 0, cache_creation_input_tokens = 0, cache_read_input_tokens = 0 } = usage ?? {};
  return finished(target, {
    ...said,
    model,
    finish: finishOf(target, stop_reason),
    ...usageOf(request, said, {
      input: input_tokens + cache_creation_input_tokens + cache_read_input_tokens,
      output: usage?.output_tokens,
    }),
  });
}

function finishOf(target: ModelTarget, stop_reason: string): ModelAnswer['finish'] {
  if (stop_reason === 'end_turn' || stop_reason === 'stop_sequence' || stop_reason === 'tool_use') return 'stop';
  if (stop_reason === 'max_tokens' || stop_reason === 'model_context_window_exceeded') return 'length';
  throw badAnswer(target, `stopped for a reason that it was not asked for (${stop_reason})`);
}
