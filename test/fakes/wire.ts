import type { IncomingHttpHeaders } from 'node:http';
import { argumentsText, TOOL_DECODERS, type DecodedTools, type FakeToolCall } from './tools.ts';

/** The four vendors' wire formats, from the server's side. */

export type FakeVendor = 'openai' | 'anthropic' | 'gemini' | 'ollama';
export type Finish = 'stop' | 'length' | 'refusal' | 'none';
export type DecodedRequest = DecodedTools & {
  vendor: FakeVendor;
  model: string;
  system: string;
  prompt: string;
  json_schema?: Record<string, unknown>;
  api_key: string | undefined;
  max_output_tokens: number | undefined;
  /** Whether it is asked to stream. */
  stream: boolean;
};

type Json = Record<string, any>;

/** Where each vendor's SDK or client is told to go, relative to the fake's URL. */
export const BASE_PATHS: Record<FakeVendor, string> = {
  openai: '/openai/v1',
  anthropic: '/anthropic',
  gemini: '/gemini',
  ollama: '/ollama',
};

const ROUTES: [FakeVendor, RegExp][] = [
  ['openai', /^\/openai\/v1\/chat\/completions$/],
  ['anthropic', /^\/anthropic\/v1\/messages$/],
  ['gemini', /^\/gemini\/v1beta\/models\/(?<model>[^/]+):(generateContent|streamGenerateContent)$/],
  ['ollama', /^\/ollama\/api\/chat$/],
];

/** The call that a POST with this path and body is, or undefined when no vendor has such a path. */
export function decodeRequest(path: string, headers: IncomingHttpHeaders, body: Json): DecodedRequest | undefined {
  for (const [vendor, route] of ROUTES) {
    const match = route.exec(path);
    if (!match) continue;
    const model = decodeURIComponent(match.groups?.model ?? body.model ?? '');
    const stream = body.stream === true || path.endsWith(':streamGenerateContent');
    const asked = { ...DECODERS[vendor](body), ...TOOL_DECODERS[vendor](body) };
    return { vendor, model, stream, api_key: apiKey(headers), ...asked };
  }
  return undefined;
}

function apiKey(headers: IncomingHttpHeaders): string | undefined {
  const named = headers['x-goog-api-key'] ?? headers['x-api-key'];
  return typeof named === 'string' ? named : headers.authorization?.replace(/^Bearer /i, '');
}

type Question = Pick<DecodedRequest, 'system' | 'prompt' | 'json_schema' | 'max_output_tokens'>;

const DECODERS: Record<FakeVendor, (body: Json) => Question> = {
  openai: (body) => ({
    ...fromMessages(body.messages),
    json_schema: body.response_format?.json_schema?.schema,
    max_output_tokens: body.max_completion_tokens ?? body.max_tokens,
  }),
  anthropic: (body) => ({
    system: partsText(body.system),
    prompt: fromMessages(body.messages).prompt,
    json_schema: body.output_config?.format?.schema,
    max_output_tokens: body.max_tokens,
  }),
  gemini: (body) => ({
    system: partsText(body.systemInstruction?.parts),
    prompt: fromMessages(body.contents.map(({ role, parts }: Json) => ({ role, content: parts }))).prompt,
    json_schema: body.generationConfig?.responseJsonSchema,
    max_output_tokens: body.generationConfig?.maxOutputTokens,
  }),
  ollama: (body) => ({
    ...fromMessages(body.messages),
    json_schema: typeof body.format === 'object' ? body.format : undefined,
    max_output_tokens: body.options?.num_predict,
  }),
};

function fromMessages(messages: Json[] = []) {
  const textOf = (roles: string[]) =>
    messages
      .filter(({ role }) => roles.includes(role))
      .map(({ content }) => partsText(content))
      .filter((text) => text !== '')
      .join('\n');
  return { system: textOf(['system', 'developer']), prompt: textOf(['user']) };
}

function partsText(parts: unknown): string {
  if (typeof parts === 'string') return parts;
  return Array.isArray(parts) ? parts.map((part: Json) => part.text ?? '').join('') : '';
}

/** A deterministic token count: a quarter of the characters. */
export function fakeTokens(text: string): number {
  return Math.ceil(text.length / 4);
}

/** The vendor's success body around `text`. `none` leaves out the marker that says the answer is whole. */
export function encodeAnswer(call: DecodedRequest, text: string, finish: Finish, calls: FakeToolCall[] = []): Json {
  const input = fakeTokens(call.system + call.prompt);
  const output = fakeTokens(text);
  return ENCODERS[call.vendor](call, text, finish, input, output, calls);
}

const ENCODERS: Record<
  FakeVendor,
  (call: DecodedRequest, text: string, finish: Finish, input: number, output: number, calls: FakeToolCall[]) => Json
> = {
  openai: ({ model }, text, finish, input, output, calls) => ({
    id: 'chatcmpl-fake',
    object: 'chat.completion',
    created: 1_760_000_000,
    model,
    choices: [
      {
        index: 0,
        message:
          finish === 'refusal'
            ? { role: 'assistant', content: null, refusal: text }
            : {
                role: 'assistant',
                content: text || null,
                refusal: null,
                ...(calls.length && {
                  tool_calls: calls.map((called) => ({
                    id: called.id,
                    type: 'function',
                    function: { name: called.name, arguments: argumentsText(called) },
                  })),
                }),
              },
        logprobs: null,
        finish_reason: finish === 'none' ? null : finish === 'length' ? 'length' : calls.length ? 'tool_calls' : 'stop',
      },
    ],
    usage: { prompt_tokens: input, completion_tokens: output, total_tokens: input + output },
    system_fingerprint: 'fp_fake',
  }),
  anthropic: ({ model }, text, finish, input, output, calls) => ({
    id: 'msg_fake',
    type: 'message',
    role: 'assistant',
    model,
    content: [
      ...(text ? [{ type: 'text', text, citations: null }] : []),
      ...calls.map((called) => ({
        type: 'tool_use',
        id: called.id,
        name: called.name,
        input: called.arguments,
      })),
    ],
    stop_reason: { stop: calls.length ? 'tool_use' : 'end_turn', length: 'max_tokens', refusal: 'refusal', none: null }[
      finish
    ],
    stop_sequence: null,
    usage: {
      input_tokens: input,
      output_tokens: output,
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: 0,
    },
  }),
  gemini: ({ model }, text, finish, input, output, calls) => ({
    candidates: [
      {
        ...(finish === 'refusal' ? {} : { content: { role: 'model', parts: [{ text }, ...calls.map(geminiCall)] } }),
        ...(finish === 'none'
          ? {}
          : { finishReason: { stop: 'STOP', length: 'MAX_TOKENS', refusal: 'SAFETY' }[finish] }),
        index: 0,
      },
    ],
    usageMetadata: { promptTokenCount: input, candidatesTokenCount: output, totalTokenCount: input + output },
    modelVersion: model,
    responseId: 'fake',
  }),
  ollama: ({ model }, text, finish, input, output, calls) => ({
    model,
    created_at: '2026-01-01T00:00:00.000Z',
    message: {
      role: 'assistant',
      content: text,
      ...(calls.length && {
        tool_calls: calls.map(({ name, arguments: given }) => ({ function: { name, arguments: given } })),
      }),
    },
    ...(finish === 'none' ? { done: false } : { done: true, done_reason: finish === 'length' ? 'length' : 'stop' }),
    total_duration: 1_000_000,
    prompt_eval_count: input,
    eval_count: output,
  }),
};

/** Gemini signs the first call of a turn, and wants to see that again. */
export function geminiCall(call: FakeToolCall, index: number): Json {
  const functionCall = { id: call.id, name: call.name, args: call.arguments };
  return { functionCall, ...(index === 0 && { thoughtSignature: 'c2lnbmVk' }) };
}

/** The vendor's error body for a status, for replies that give only the status. */
export function encodeError(vendor: FakeVendor, status: number, message = `fake ${status}`): Json {
  if (vendor === 'openai') return { error: { message, type: 'fake_error', param: null, code: null } };
  if (vendor === 'anthropic') return { type: 'error', error: { type: 'fake_error', message }, request_id: 'req_fake' };
  if (vendor === 'gemini') return { error: { code: status, message, status: 'FAKE' } };
  return { error: message };
}
