import OpenAI from 'openai';
import { Stream } from 'openai/streaming';
import { z } from 'zod';
import { finished, readAnswer, readStream, refused, truncated } from './answer.ts';
import { reportedError } from './failures.ts';
import type { ModelAnswer, ModelRequest, ModelTarget } from './model.ts';
import { vendorOfModel } from './prices.ts';
import { strictSchema, withJsonModes, type JsonMode } from './structured.ts';
import { argumentsOf, functionTools, newCallId, resultText, toolCall } from './tools.ts';
import { count, countsOf, risen, usageOf, type Counted } from './usage.ts';
import { NO_SDK_TIMEOUT, type Wire } from './wire.ts';

const calledFunction = z.object({ name: z.string().nullish(), arguments: z.string().nullish() });

const completion = z.object({
  model: z.string().nullish(),
  choices: z
    .array(
      z.object({
        message: z.object({
          content: z.string().nullish(),
          refusal: z.string().nullish(),
          tool_calls: z.array(z.object({ id: z.string().nullish(), function: calledFunction })).nullish(),
        }),
        finish_reason: z.string().nullish(),
      }),
    )
    .min(1),
  usage: countsOf({
    prompt_tokens: count,
    completion_tokens: count,
    total_tokens: count,
    completion_tokens_details: countsOf({ reasoning_tokens: count }),
  }),
});

const chunk = z.object({
  model: z.string().nullish(),
  choices: z
    .array(
      z.object({
        delta: z
          .object({
            content: z.string().nullish(),
            refusal: z.string().nullish(),
            tool_calls: z
              .array(
                z.object({
                  index: z.number().nullish(),
                  id: z.string().nullish(),
                  function: calledFunction.nullish(),
                }),
              )
              .nullish(),
          })
          .nullish(),
        finish_reason: z.string().nullish(),
      }),
    )
    .nullish(),
  usage: completion.shape.usage,
});

/** OpenRouter and others answer 200 and then say that it failed. */
const failedCompletion = z.object({ error: z.looseObject({}) });

/** OpenAI chat completions, which most other servers speak too (vLLM, LM Studio, OpenRouter, …). */
export async function callOpenAI(target: ModelTarget, request: ModelRequest, wire: Wire): Promise<ModelAnswer> {
  return withJsonModes(['schema', 'json', 'words'], request, wire, (asked, mode) =>
    complete(target, asked, mode, wire),
  );
}

async function complete(target: ModelTarget, request: ModelRequest, mode: JsonMode, wire: Wire): Promise<ModelAnswer> {
  const client = new OpenAI({
    apiKey: target.api_key || 'none',
    baseURL: target.base_url || 'https://api.openai.com/v1',
    organization: null,
    project: null,
    adminAPIKey: null,
    webhookSecret: null,
    maxRetries: 0,
    timeout: NO_SDK_TIMEOUT,
    logLevel: 'off',
    fetch: wire.sending({
      authorization: target.api_key && `Bearer ${target.api_key}`,
      // One key, one body: the steps of the ladder are different requests.
      'idempotency-key': request.idempotency_key && `${request.idempotency_key}-${mode}`,
    }),
  });
  // OpenAI's reasoning models refuse max_tokens, and many compatible servers know nothing else.
  const speaksNew = !target.base_url || vendorOfModel(target.model) === 'openai';
  const response = await client.chat.completions
    .create(
      {
        model: target.model,
        messages: messagesOf(request),
        [speaksNew ? 'max_completion_tokens' : 'max_tokens']: request.max_output_tokens,
        ...(wire.on_delta && { stream: true, stream_options: { include_usage: true } }),
        ...responseFormat(request, mode),
        ...toolsOf(request),
      },
      { signal: wire.signal },
    )
    .asResponse();
  // Some compatible servers answer with plain JSON, whatever they were asked for.
  const isJson = response.headers.get('content-type')?.includes('json');
  const body: unknown = wire.on_delta && !isJson ? await gather(target, client, response, wire) : await response.json();
  return fromCompletion(target, request, body);
}

function messagesOf({ system, prompt, turns = [] }: ModelRequest): OpenAI.ChatCompletionMessageParam[] {
  return [
    { role: 'system', content: system },
    { role: 'user', content: prompt },
    ...turns.flatMap(({ text, calls, results }): OpenAI.ChatCompletionMessageParam[] => [
      {
        role: 'assistant',
        content: text || null,
        tool_calls: calls.map((call) => ({
          id: call.id,
          type: 'function',
          function: { name: call.name, arguments: JSON.stringify(argumentsOf(call)) },
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

type StreamedCall = { id: string; function: { name: string; arguments: string } };

/** The completion that a stream adds up to. */
async function gather(target: ModelTarget, client: OpenAI, response: Response, { on_delta }: Wire): Promise<unknown> {
  const message = { content: '', refusal: '', tool_calls: [] as StreamedCall[] };
  const whole: Record<string, unknown> = {};
  let finish_reason: string | undefined;
  // The fetch ends it when the signal does.
  const stream = Stream.fromSSEResponse(response, new AbortController(), client);
  for await (const { model, choices, usage } of readStream(target, chunk, stream)) {
    const [choice] = choices ?? [];
    if (choice?.delta?.content) on_delta?.(choice.delta.content);
    message.content += choice?.delta?.content ?? '';
    message.refusal += choice?.delta?.refusal ?? '';
    for (const part of choice?.delta?.tool_calls ?? []) {
      // Servers that number none send each call whole.
      const call = (message.tool_calls[part.index ?? message.tool_calls.length] ??= {
        id: '',
        function: { name: '', arguments: '' },
      });
      call.id ||= part.id ?? '';
      call.function.name += part.function?.name ?? '';
      call.function.arguments += part.function?.arguments ?? '';
    }
    finish_reason = choice?.finish_reason ?? finish_reason;
    Object.assign(whole, model && { model }, usage && { usage: risen(whole.usage as typeof usage, usage) });
  }
  return { ...whole, choices: [{ message, finish_reason }] };
}

function responseFormat({ schema }: ModelRequest, mode: JsonMode) {
  if (!schema || mode === 'words') return {};
  if (mode === 'json') return { response_format: { type: 'json_object' as const } };
  const json_schema = { name: schema.name, strict: true, schema: strictSchema(schema.json_schema) };
  return { response_format: { type: 'json_schema' as const, json_schema } };
}

function fromCompletion(target: ModelTarget, request: ModelRequest, body: unknown): ModelAnswer {
  if (failedCompletion.safeParse(body).success) throw reportedError(target, body);
  const { model, choices, usage } = readAnswer(target, completion, body);
  const { message, finish_reason } = choices[0]!;
  const text = message.content ?? '';
  const tool_calls = (message.tool_calls ?? []).map(({ id, function: called }, index) =>
    toolCall({ id, name: called.name ?? '', arguments: called.arguments ?? '' }, newCallId(request.turns, index)),
  );
  if (message.refusal || finish_reason === 'content_filter') throw refused(target, message.refusal || 'content_filter');
  if (!finish_reason) throw truncated(target);
  return finished(target, {
    text,
    tool_calls,
    model: model ?? target.model,
    finish: finish_reason === 'length' ? 'length' : 'stop',
    ...usageOf(request, { text, tool_calls }, countedIn(usage)),
  });
}

function countedIn(usage: z.infer<typeof completion>['usage']): Counted {
  return {
    input: usage?.prompt_tokens,
    output: usage?.completion_tokens,
    reasoning: usage?.completion_tokens_details?.reasoning_tokens,
    total: usage?.total_tokens,
  };
}
