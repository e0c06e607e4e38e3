import { expect, test } from 'vitest';
import { parseToolArguments } from '../../src/llm/index.ts';
import { ask, useFakeModel, VENDORS } from '../fakes/ask.ts';
import type { FakeVendor } from '../fakes/wire.ts';

/** Answers that are right, but not as the vendor would write them; and some that look right and are none. */

const { fake, fetch } = await useFakeModel();

const TEXT = 'Größe zählt: 😀 some text.';
const find = { name: 'find', description: 'Finds.', json_schema: { type: 'object', properties: {} } };
const tools = [find, { ...find, name: 'clock' }];

type Given = Partial<Parameters<typeof ask>[2]>;

/** Asks for a stream, and says what came of it. */
async function listen(vendor: FakeVendor, given: Given = {}) {
  const deltas: string[] = [];
  const answer = await ask(fake, vendor, { fetch, on_delta: (text) => deltas.push(text), ...given });
  return { answer, heard: deltas.join('') };
}

const sse = { 'content-type': 'text/event-stream' };
const data = (...values: object[]) => values.map((value) => `data: ${JSON.stringify(value)}\n\n`).join('');
/** Chunks on OpenAI's wire: deltas, and at last why it ended. */
const chunks = (finish_reason: string, ...deltas: object[]) =>
  data(...deltas.map((delta) => ({ choices: [{ index: 0, delta }] })), { choices: [{ delta: {}, finish_reason }] });
const whole = (message: object, finish_reason: string = 'stop') => ({ choices: [{ message, finish_reason }] });
const says = (body: unknown, headers: Record<string, string> = {}) => fake.on(() => ({ status: 200, headers, body }));
const argumentsOf = (calls: { name: string; arguments: string }[] = []) =>
  calls.map((call) => [call.name, parseToolArguments(call.arguments)]);

test.each([
  [
    {
      content: [
        { type: 'thinking', thinking: [{ type: 'text', text: 'Hm.' }] },
        { type: 'text', text: 'Yes.' },
      ],
    },
  ],
  [
    {
      content: [
        { type: 'text', text: 'Ye' },
        { type: 'reference', reference_ids: [1] },
        { type: 'text', text: 's.' },
      ],
    },
  ],
  [{ content: ['Ye', 's.'] }],
  [{ content: { type: 'text', text: 'Yes.' } }],
  [{ content: [{ type: 'output_text', text: 'Yes.' }, null] }],
])('content may come in parts: %j', async (message) => {
  says(whole(message));
  expect(await ask(fake, 'openai', { fetch })).toMatchObject({ text: 'Yes.' });
  says(chunks('stop', { content: '' }, message), sse);
  expect(await listen('openai')).toMatchObject({ answer: { text: 'Yes.' }, heard: 'Yes.' });
});

test('a refusal may be one of the parts', async () => {
  says(whole({ content: [{ type: 'refusal', refusal: 'No.' }] }));
  await expect(ask(fake, 'openai', { fetch })).rejects.toMatchObject({ type: 'LlmRefused' });
});

test('Ollama clones send no content beside calls', async () => {
  const message = { content: null, tool_calls: [{ function: { name: 'find', arguments: '{"q":"x"}' } }] };
  says({ message, done: true });
  const { tool_calls } = await ask(fake, 'ollama', { fetch, tools });
  expect(argumentsOf(tool_calls)).toEqual([['find', { q: 'x' }]]);
});

test.each([
  ['stop', 'stop'],
  ['tool_calls', 'stop'],
  ['eos', 'stop'],
  ['end_turn', 'stop'],
  ['STOP', 'stop'],
  ['length', 'length'],
  ['max_tokens', 'length'],
  ['model_length', 'length'],
  ['MAX_TOKENS', 'length'],
] as const)('an answer that ended with %s is %s', async (reason, finish) => {
  says(whole({ content: TEXT }, reason));
  expect(await ask(fake, 'openai', { fetch })).toMatchObject({ text: TEXT, finish });
  says(chunks(reason, { content: TEXT }), sse);
  expect((await listen('openai')).answer).toMatchObject({ text: TEXT, finish });
});

const ends = [
  ['error', 'LlmTruncatedStream'],
  ['insufficient_system_resource', 'LlmTruncatedStream'],
  ['abort', 'LlmTruncatedStream'],
  ['unheard_of', 'LlmTruncatedStream'],
  ['content_filter', 'LlmRefused'],
  ['SAFETY', 'LlmRefused'],
] as const;
test.each(VENDORS.flatMap((vendor) => ends.map(([reason, type]) => ({ vendor, reason, type }))))(
  '$vendor: half a sentence that ended with $reason is no answer: $type',
  async ({ vendor, reason, type }) => {
    const bodies = {
      openai: whole({ content: 'Half a sent' }, reason),
      anthropic: { model: 'm', content: [{ type: 'text', text: 'Half a sent' }], stop_reason: reason },
      gemini: { candidates: [{ content: { parts: [{ text: 'Half a sent' }] }, finishReason: reason }] },
      ollama: { message: { content: 'Half a sent' }, done: true, done_reason: reason },
    };
    says(bodies[vendor]);
    const error: unknown = await ask(fake, vendor, { fetch }).catch((failure: unknown) => failure);
    expect(error).toMatchObject({ type, message: expect.stringContaining(reason) });
  },
);

test.each(['openai', 'gemini'] as const)(
  '%s: a call that cannot be read is told as that, with what it cost',
  async (vendor) => {
    const finishReason = 'MALFORMED_FUNCTION_CALL';
    const bodies = {
      openai: {
        ...whole({ content: null }, `function_call_filter: ${finishReason}`),
        usage: { prompt_tokens: 9, completion_tokens: 4 },
      },
      gemini: { candidates: [{ finishReason }], usageMetadata: { promptTokenCount: 9, candidatesTokenCount: 4 } },
    };
    says(bodies[vendor]);
    await expect(ask(fake, vendor, { fetch, tools })).rejects.toMatchObject({
      type: 'LlmMalformedCall',
      retryable: false,
      spent: { text: '', input_tokens: 9, output_tokens: 4 },
    });
  },
);

test('an error of one choice is told in its words', async () => {
  const error = { code: 502, message: 'The upstream broke.' };
  says({ choices: [{ message: { content: 'Half a' }, finish_reason: 'error', error }] });
  const told = { type: 'LlmUnavailable', message: expect.stringContaining('The upstream broke.') };
  await expect(ask(fake, 'openai', { fetch })).rejects.toMatchObject(told);
  says(
    data({ choices: [{ delta: { content: 'Half a' } }] }, { choices: [{ delta: {}, finish_reason: 'error', error }] }),
    sse,
  );
  await expect(listen('openai')).rejects.toMatchObject(told);
});

test.each([
  ['openai', data({ choices: [{ delta: { content: 'Half' } }] }, { choices: [{ delta: { content: 5 } }] })],
  ['gemini', data({ candidates: [{ content: { parts: [{ text: 'Half' }] } }] }, { candidates: 5 })],
  ['ollama', '{"message":{"content":"Half"}}\n{"message":{"content":5}}\n'],
] as const)('%s: a chunk that does not fit is told as that, and not as a cut', async (vendor, body) => {
  says(body, sse);
  await expect(listen(vendor)).rejects.toMatchObject({
    type: 'LlmBadResponse',
    message: expect.stringContaining('sent something that is not an answer ('),
  });
});

const start = { type: 'message_start', message: { model: 'm', content: [] } };
const end = (stop_reason: string) => [{ type: 'message_delta', delta: { stop_reason } }, { type: 'message_stop' }];
const use = (input: unknown) => ({ type: 'tool_use', id: 'a', name: 'find', input });

test.each([
  ['whole at its start', [{ index: 0, content_block: use({ q: 'x' }) }]],
  ['whole, in a message without index', [{ content_block: use({ q: 'x' }) }]],
  [
    'as text, after an empty object',
    [
      { index: 0, content_block: use({}) },
      { index: 0, delta: { partial_json: '{"q":"x"}' } },
    ],
  ],
  [
    'both',
    [
      { index: 0, content_block: use({ q: 'x' }) },
      { index: 0, delta: { partial_json: '{"q":"x"}' } },
    ],
  ],
  [
    'in pieces without index',
    [{ content_block: use({}) }, { delta: { partial_json: '{"q":' } }, { delta: { partial_json: '"x"}' } }],
  ],
])("Anthropic's wire: the input of a call that comes %s", async (_, events) => {
  says(data(start, ...events, ...end('tool_use')), sse);
  expect(argumentsOf((await listen('anthropic', { tools })).answer.tool_calls)).toEqual([['find', { q: 'x' }]]);
});

test.each([{ input_tokens: null, output_tokens: null }, null, {}, { input_tokens: 'many' }])(
  "Anthropic's wire: an answer is one whatever is counted: %j",
  async (usage) => {
    says(
      data(
        { message: { model: 'm', content: [], usage } },
        { content_block: { type: 'text', text: TEXT } },
        { delta: { stop_reason: 'end_turn' }, usage },
      ),
      sse,
    );
    expect(await listen('anthropic')).toMatchObject({ answer: { text: TEXT }, heard: TEXT });
  },
);
