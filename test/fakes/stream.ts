import { argumentsText, type FakeToolCall } from './tools.ts';
import { fakeTokens, geminiCall, type DecodedRequest, type FakeVendor, type Finish } from './wire.ts';

/** The four vendors' streams, from the server's side: the frames of an answer, each one write of the body. */

type Frames = {
  type: string;
  head: (call: DecodedRequest) => string[];
  piece: (call: DecodedRequest, text: string) => string;
  /** Tool calls, after the text. */
  calls: (call: DecodedRequest, calls: FakeToolCall[]) => string[];
  tail: (call: DecodedRequest, text: string, finish: Finish) => string[];
  /** What a vendor that is overloaded in the middle of its answer says. */
  error: string;
};

const data = (value: object) => `data: ${JSON.stringify(value)}\n\n`;
const named = (value: { type: string; [field: string]: unknown }) => `event: ${value.type}\n${data(value)}`;
const line = (value: object) => `${JSON.stringify(value)}\n`;

const openai = ({ model }: DecodedRequest, choices: object[], more: object = {}) =>
  data({ id: 'chatcmpl-fake', object: 'chat.completion.chunk', created: 1_760_000_000, model, choices, ...more });
const gemini = ({ model, system, prompt }: DecodedRequest, candidate: object, output = 0) => {
  const usageMetadata = { promptTokenCount: fakeTokens(system + prompt), candidatesTokenCount: output };
  return data({ candidates: [{ index: 0, ...candidate }], usageMetadata, modelVersion: model, responseId: 'fake' });
};

export const STREAMS: Record<FakeVendor, Frames> = {
  openai: {
    type: 'text/event-stream',
    head: (call) => [openai(call, [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }])],
    piece: (call, content) => openai(call, [{ index: 0, delta: { content }, finish_reason: null }]),
    calls: (call, calls) =>
      calls.flatMap((called, index) => {
        const part = (given: object) => openai(call, [{ index: 0, delta: { tool_calls: [{ index, ...given }] } }]);
        return [
          part({ id: called.id, type: 'function', function: { name: called.name, arguments: '' } }),
          ...piecesOf(argumentsText(called)).map((text) => part({ function: { arguments: text } })),
        ];
      }),
    tail: (call, text, finish) => [
      ...(finish === 'refusal' ? [openai(call, [{ index: 0, delta: { refusal: text }, finish_reason: null }])] : []),
      openai(call, [{ index: 0, delta: {}, finish_reason: finish === 'length' ? 'length' : 'stop' }]),
      openai(call, [], {
        usage: { prompt_tokens: fakeTokens(call.system + call.prompt), completion_tokens: fakeTokens(text) },
      }),
      'data: [DONE]\n\n',
    ],
    error: data({ error: { message: 'fake overload', type: 'server_error', code: 503 } }),
  },
  anthropic: {
    type: 'text/event-stream',
    head: ({ model, system, prompt }) => [
      named({
        type: 'message_start',
        message: {
          id: 'msg_fake',
          type: 'message',
          role: 'assistant',
          model,
          content: [],
          stop_reason: null,
          usage: { input_tokens: fakeTokens(system + prompt), output_tokens: 1, cache_read_input_tokens: 0 },
        },
      }),
      named({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }),
      named({ type: 'ping' }),
    ],
    piece: (_, text) => named({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } }),
    calls: (_, calls) =>
      calls.flatMap((called, at) => {
        const index = at + 1;
        const block = { type: 'tool_use', id: called.id, name: called.name, input: {} };
        return [
          named({ type: 'content_block_start', index, content_block: block }),
          ...piecesOf(argumentsText(called)).map((partial_json) =>
            named({ type: 'content_block_delta', index, delta: { type: 'input_json_delta', partial_json } }),
          ),
          named({ type: 'content_block_stop', index }),
        ];
      }),
    tail: (_, text, finish) => {
      const stop_reason = { stop: 'end_turn', length: 'max_tokens', refusal: 'refusal', none: null }[finish];
      return [
        named({ type: 'content_block_stop', index: 0 }),
        named({
          type: 'message_delta',
          delta: { stop_reason, stop_sequence: null },
          usage: { output_tokens: fakeTokens(text) },
        }),
        named({ type: 'message_stop' }),
      ];
    },
    error: named({ type: 'error', error: { type: 'overloaded_error', message: 'fake overload' } }),
  },
  gemini: {
    type: 'text/event-stream',
    head: () => [],
    piece: (call, text) => gemini(call, { content: { role: 'model', parts: [{ text }] } }),
    calls: (call, calls) =>
      calls.map((called, index) => gemini(call, { content: { role: 'model', parts: [geminiCall(called, index)] } })),
    tail: (call, text, finish) => {
      const finishReason = { stop: 'STOP', length: 'MAX_TOKENS', refusal: 'SAFETY', none: undefined }[finish];
      return [gemini(call, { finishReason }, fakeTokens(text))];
    },
    error: data({ error: { code: 503, message: 'fake overload', status: 'UNAVAILABLE' } }),
  },
  ollama: {
    type: 'application/x-ndjson',
    head: () => [],
    piece: ({ model }, content) => line({ model, message: { role: 'assistant', content }, done: false }),
    calls: ({ model }, calls) =>
      calls.map(({ name, arguments: given }) => {
        const tool_calls = [{ function: { name, arguments: given } }];
        return line({ model, message: { role: 'assistant', content: '', tool_calls }, done: false });
      }),
    tail: ({ model, system, prompt }, text, finish) => {
      const done_reason = finish === 'length' ? 'length' : 'stop';
      const counts = { prompt_eval_count: fakeTokens(system + prompt), eval_count: fakeTokens(text) };
      return [line({ model, message: { role: 'assistant', content: '' }, done: true, done_reason, ...counts })];
    },
    error: line({ error: 'fake overload' }),
  },
};

/** A text as a model says it: in up to eight pieces. */
export function piecesOf(text: string): string[] {
  const size = Math.max(4, Math.ceil(text.length / 8));
  return text.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? [];
}

/** The frames of a whole answer. `none` leaves out all that says it is whole. */
export function framesOf(call: DecodedRequest, text: string, finish: Finish, called: FakeToolCall[] = []): string[] {
  const { head, piece, calls, tail } = STREAMS[call.vendor];
  const said = finish === 'refusal' ? [] : piecesOf(text).map((part) => piece(call, part));
  return [...head(call), ...said, ...calls(call, called), ...(finish === 'none' ? [] : tail(call, text, finish))];
}
