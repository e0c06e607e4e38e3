import Anthropic from '@anthropic-ai/sdk';
import { z } from 'zod';
import { badAnswer, readAnswer, refused } from './answer.ts';
import { finished } from './finish.ts';
import type { ModelAnswer, ModelRequest, ModelTarget, ToolCall } from './model.ts';
import { strictSchema } from './structured.ts';
import { argumentsOf, toolCalls } from './tools.ts';
import { count, countsOf, risen, type Counted } from './usage.ts';
import { NO_SDK_TIMEOUT, type Wire } from './wire.ts';

/** Blocks of thoughts go back as they came, with all of their fields. */
const block = z.looseObject({
  type: z.string(),
  text: z.string().nullish(),
  id: z.string().nullish(),
  name: z.string().nullish(),
  input: z.unknown().optional(),
});
type Block = z.infer<typeof block>;

const message = z.object({
  model: z.string().nullish(),
  content: z.array(block).nullish(),
  stop_reason: z.string().nullish(),
  stop_details: z.object({ category: z.string().nullish() }).nullish().catch(null),
  usage: countsOf({
    input_tokens: count,
    output_tokens: count,
    cache_creation_input_tokens: count,
    cache_read_input_tokens: count,
  }),
});

/** An event of a stream; a whole message is like the first one. */
const event = message.extend({
  message: message.nullish(),
  index: z.number().nullish(),
  content_block: block.nullish(),
  delta: z
    .object({
      text: z.string().nullish(),
      partial_json: z.string().nullish(),
      thinking: z.string().nullish(),
      signature: z.string().nullish(),
      stop_reason: z.string().nullish(),
      stop_details: message.shape.stop_details,
    })
    .nullish(),
});

/** Anthropic messages. Models before Claude 4.5 refuse `output_config`; the schema then goes into the prompt. */
export async function callAnthropic(target: ModelTarget, request: ModelRequest, wire: Wire): Promise<ModelAnswer> {
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
      'idempotency-key': request.idempotency_key,
    }),
  });
  const schema = request.schema && strictSchema(request.schema.json_schema);
  const response = await client.messages
    .create(
      {
        model: target.model,
        max_tokens: request.max_output_tokens,
        ...(request.system && { system: request.system }),
        messages: messagesOf(request),
        ...(schema && { output_config: { format: { type: 'json_schema', schema } } }),
        ...(wire.on_delta && { stream: true }),
        ...toolsOf(request),
      },
      { signal: wire.signal },
    )
    .asResponse();
  return readMessage(target, request, response, wire);
}

function messagesOf({ prompt, turns = [] }: ModelRequest): Anthropic.MessageParam[] {
  return [
    { role: 'user', content: prompt },
    ...turns.flatMap(({ text, calls, results }): Anthropic.MessageParam[] => [
      {
        role: 'assistant',
        content: [
          ...thoughtsOf(calls),
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

/** The blocks of thoughts of a turn come before its calls, and are kept with the first of them. */
function thoughtsOf([first]: ToolCall[]): Anthropic.ContentBlockParam[] {
  return (first?.vendor_metadata?.anthropic as Anthropic.ContentBlockParam[] | undefined) ?? [];
}

function isThought({ type }: Block): boolean {
  return type === 'thinking' || type === 'redacted_thinking';
}

/** Puts a whole message, or the events of one, together and checks it. */
async function readMessage(
  target: ModelTarget,
  request: ModelRequest,
  response: Response,
  wire: Wire,
): Promise<ModelAnswer> {
  const gathered = gatherBlocks((text) => wire.on_delta?.(text));
  let model: string | undefined;
  let stop: Pick<z.infer<typeof message>, 'stop_reason' | 'stop_details'> = {};
  let usage: z.infer<typeof message>['usage'];
  for await (const value of readAnswer(target, event, response)) {
    const begun = value.message ?? value;
    for (const given of begun.content ?? []) gathered.begin(given);
    if (value.content_block) gathered.begin(value.content_block, value.index);
    if (value.delta) gathered.add(value.delta, value.index);
    wire.hear(value.content_block?.text, value.delta?.text, value.delta?.partial_json, value.delta?.thinking);
    model = begun.model || model;
    stop = [value.delta, begun].find((said) => said?.stop_reason) ?? stop;
    // At the start the output is counted as far as it is then, which is nowhere.
    const atStart = value.message?.usage && { ...value.message.usage, output_tokens: undefined };
    usage = risen(usage, risen(atStart, value.usage));
  }
  const blocks = gathered.blocks();
  if (!model && !blocks.length && !stop.stop_reason) throw badAnswer(target, 'sent something that is not an answer');
  if (stop.stop_reason === 'refusal') throw refused(target, stop.stop_details?.category ?? 'refusal');
  const text = blocks.map((given) => (given.type === 'text' ? (given.text ?? '') : '')).join('');
  const tool_calls = callsIn(blocks, request);
  const said = { text, tool_calls, model: model ?? target.model };
  return finished(target, request, stop.stop_reason, said, countedIn(usage));
}

/** What is cached is counted beside the input. */
function countedIn(usage: z.infer<typeof message>['usage']): Counted {
  const { input_tokens = 0, cache_creation_input_tokens = 0, cache_read_input_tokens = 0 } = usage ?? {};
  return {
    input: input_tokens + cache_creation_input_tokens + cache_read_input_tokens,
    output: usage?.output_tokens,
  };
}

function callsIn(blocks: Block[], { turns }: ModelRequest): ToolCall[] {
  const thoughts = blocks.filter(isThought);
  const calls = blocks
    .filter(({ type }) => type === 'tool_use')
    .map(({ id, name, input }, index) => ({
      id,
      name: name ?? '',
      arguments: input,
      vendor_metadata: index === 0 && thoughts.length ? { anthropic: thoughts } : undefined,
    }));
  return toolCalls(calls, turns);
}

type Delta = NonNullable<z.infer<typeof event>['delta']>;

/** The blocks of a message, which grow by deltas. What their start brings counts too: compatible servers send it whole. */
function gatherBlocks(tell: (text: string) => void) {
  const blocks: (Block & { json: string[] })[] = [];
  const byIndex = new Map<number, (typeof blocks)[number]>();

  function begin(given: Block, index?: number | null) {
    const begun = { ...given, json: [] };
    blocks.push(begun);
    if (typeof index === 'number') byIndex.set(index, begun);
    if (given.type === 'text' && given.text) tell(given.text);
    return begun;
  }

  return {
    begin,
    add({ text, partial_json, thinking, signature }: Delta, index?: number | null): void {
      const known = typeof index === 'number' ? byIndex.get(index) : blocks.at(-1);
      if (text) {
        const block = known?.type === 'text' ? known : begin({ type: 'text' }, index);
        block.text = (block.text ?? '') + text;
        tell(text);
      }
      if (partial_json) known?.json.push(partial_json);
      if (known && thinking) known.thinking = ((known.thinking as string | undefined) ?? '') + thinking;
      if (known && signature) known.signature = ((known.signature as string | undefined) ?? '') + signature;
    },
    blocks: () => blocks.map(({ json, ...block }): Block => (json.length ? { ...block, input: json.join('') } : block)),
  };
}
