import { expect, test } from 'vitest';
import { ask, useFakeModel } from '../fakes/ask.ts';
import type { FakeVendor } from '../fakes/wire.ts';

/** What a server sends beside calls comes back with them in the next turn, as it was. */

const { fake, fetch } = await useFakeModel();

const tools = [{ name: 'find', description: 'Finds.', json_schema: { type: 'object', properties: {} } }];
const sse = { 'content-type': 'text/event-stream' };
const data = (...values: object[]) => values.map((value) => `data: ${JSON.stringify(value)}\n\n`).join('');
const called = (more: object = {}) => ({
  index: 0,
  id: 'a',
  type: 'function',
  function: { name: 'find', arguments: '{}' },
  ...more,
});
const use = { type: 'tool_use', id: 'a', name: 'find', input: {} };
const signed = { google: { thought_signature: 'c2lnbmVk' } };

/** Answers with this body, and returns the assistant's turn as the next request has it. */
async function turnAfter(vendor: FakeVendor, body: unknown, headers: Record<string, string> = {}) {
  fake.on(({ calls }) => (calls.length ? 'Done.' : { status: 200, headers, body }));
  const given = { fetch, tools, ...(headers === sse && { on_delta: () => {} }) };
  const { text, tool_calls: calls = [] } = await ask(fake, vendor, given);
  // As the journal keeps it.
  const kept = JSON.parse(JSON.stringify(calls)) as typeof calls;
  const results = kept.map(() => ({ text: 'Found.', is_error: false }));
  await ask(fake, vendor, { ...given, turns: [{ text, calls: kept, results }] });
  return (fake.calls.at(-1)!.body.messages as { role: string }[]).find(({ role }) => role === 'assistant');
}

const whole = (message: object) => ({ choices: [{ message, finish_reason: 'tool_calls' }] });
const chunks = (...deltas: object[]) =>
  data(...deltas.map((delta) => ({ choices: [{ delta }] })), { choices: [{ delta: {}, finish_reason: 'tool_calls' }] });

test.each([
  ['DeepSeek', { reasoning_content: 'I should look.' }],
  ['DeepSeek, which has not thought', { reasoning_content: '' }],
  ['vLLM', { reasoning: 'I should look.' }],
  ['OpenRouter', { reasoning: 'Look.', reasoning_details: [{ type: 'reasoning.encrypted', data: 'x', index: 0 }] }],
  ['LiteLLM', { thinking_blocks: [{ type: 'thinking', thinking: 'Look.', signature: 's' }] }],
])('%s: with the message', async (_, beside) => {
  expect(await turnAfter('openai', whole({ content: null, tool_calls: [called()], ...beside }))).toMatchObject(beside);
  expect(await turnAfter('openai', chunks(beside, { tool_calls: [called()] }), sse)).toMatchObject(beside);
});

test('what comes in pieces comes back whole', async () => {
  const detail = (more: object, index = 0) => ({ reasoning_details: [{ type: 'reasoning.text', index, ...more }] });
  const deltas = [
    { reasoning_content: 'I sh', ...detail({ text: 'I sh', format: 'x' }) },
    { reasoning_content: 'ould.', ...detail({ text: 'ould.', format: null }) },
    detail({ signature: 's' }),
    detail({ text: 'And?' }, 1),
  ];
  expect(await turnAfter('openai', chunks(...deltas, { tool_calls: [called()] }), sse)).toMatchObject({
    reasoning_content: 'I should.',
    reasoning_details: [
      { type: 'reasoning.text', index: 0, text: 'I should.', format: 'x', signature: 's' },
      { type: 'reasoning.text', index: 1, text: 'And?' },
    ],
  });
});

test("Gemini's OpenAI endpoint: with each call", async () => {
  const calls = [called({ extra_content: signed }), called({ id: 'b' })];
  const expected = { tool_calls: [{ id: 'a', extra_content: signed }, { id: 'b' }] };
  expect(await turnAfter('openai', whole({ content: null, tool_calls: calls }))).toMatchObject(expected);
  expect(await turnAfter('openai', chunks(...calls.map((call) => ({ tool_calls: [call] }))), sse)).toMatchObject(
    expected,
  );
});

const thoughts = [
  { type: 'thinking', thinking: 'I should look.', signature: 'c2lnbmVk' },
  { type: 'redacted_thinking', data: 'c2VjcmV0' },
];

test('Anthropic: blocks of thoughts, whole and streamed', async () => {
  const expected = { content: [...thoughts, { type: 'text', text: 'Hm.' }, use] };
  const content = [...thoughts, { type: 'text', text: 'Hm.' }, use];
  expect(await turnAfter('anthropic', { model: 'm', content, stop_reason: 'tool_use' })).toMatchObject(expected);
  const stream = data(
    { type: 'message_start', message: { model: 'm', content: [] } },
    { index: 0, content_block: { type: 'thinking', thinking: '', signature: '' } },
    { index: 0, delta: { type: 'thinking_delta', thinking: 'I should ' } },
    { index: 0, delta: { type: 'thinking_delta', thinking: 'look.' } },
    { index: 0, delta: { type: 'signature_delta', signature: 'c2lnbmVk' } },
    { index: 1, content_block: thoughts[1] },
    { index: 2, content_block: { type: 'text', text: 'Hm.' } },
    { index: 3, content_block: use },
    { type: 'message_delta', delta: { stop_reason: 'tool_use' } },
  );
  expect(await turnAfter('anthropic', stream, sse)).toMatchObject(expected);
});

test('what Postgres cannot store, and what is too long, does not come along', async () => {
  const nul = await turnAfter('openai', whole({ tool_calls: [called()], reasoning_content: 'I\u0000 sh\ud800ould.' }));
  expect(nul).toMatchObject({ reasoning_content: 'I sh\ufffdould.' });
  const long = await turnAfter('openai', whole({ tool_calls: [called()], reasoning_content: 'x'.repeat(300_000) }));
  expect(long).not.toHaveProperty('reasoning_content');
});

test('one vendor is not sent what another wants to see again', async () => {
  const metadata = {
    openai: { message: { reasoning_content: 'Hm.' }, call: { extra_content: signed } },
    anthropic: thoughts,
  };
  const calls = [{ id: 'a', name: 'find', arguments: '{}', vendor_metadata: metadata }];
  const turns = [{ text: '', calls, results: [{ text: 'Found.', is_error: false }] }];
  fake.on(() => 'Done.');
  for (const vendor of ['openai', 'anthropic', 'gemini', 'ollama'] as const) {
    await ask(fake, vendor, { fetch, tools, turns });
    const sent = JSON.stringify(fake.calls.at(-1)!.body);
    expect(sent.includes('reasoning_content') && sent.includes('extra_content')).toBe(vendor === 'openai');
    expect(sent.includes('redacted_thinking')).toBe(vendor === 'anthropic');
  }
});
