import { expect, test } from 'vitest';
import { API_KEY, ask, localFetch, useFakeModel, VENDORS } from '../fakes/ask.ts';
import type { Reply } from '../fakes/model.ts';
import type { FakeVendor } from '../fakes/wire.ts';

const { fake, fetch } = await useFakeModel();

const TEXT = 'Größe zählt: 😀 some sentences of text, in more than one piece.';

/** Asks for a stream. `deltas` are what came of it. */
function listen(vendor: FakeVendor, given: Partial<Parameters<typeof ask>[2]> = {}) {
  const deltas: string[] = [];
  const answer = ask(fake, vendor, { fetch, on_delta: (text) => deltas.push(text), ...given });
  return { answer, deltas };
}

test.each(VENDORS)('%s: the text comes in pieces, and then the same answer as without a stream', async (vendor) => {
  fake.on(() => TEXT);
  const { answer, deltas } = listen(vendor);
  expect(await answer).toEqual(await ask(fake, vendor, { fetch }));
  expect((await answer).text).toBe(TEXT);
  expect(deltas.length).toBeGreaterThan(3);
  expect(deltas.join('')).toBe(TEXT);
  expect(fake.calls.map(({ stream }) => stream)).toEqual([true, false]);
});

test.each(VENDORS)('%s: a piece is passed on before the answer is whole', async (vendor) => {
  const { promise: rest, resolve: sayRest } = Promise.withResolvers<string>();
  async function* pieces() {
    yield 'First ';
    yield await rest;
  }
  fake.on(() => ({ say: pieces() }));
  const first = Promise.withResolvers<string>();
  const { answer } = listen(vendor, { on_delta: first.resolve });
  expect(await first.promise).toBe('First ');
  sayRest('and last.');
  expect(await answer).toMatchObject({ text: 'First and last.', finish: 'stop' });
});

test.each(VENDORS)('%s: a streamed answer cut at its token limit says so', async (vendor) => {
  fake.on(() => ({ finish: 'length', text: TEXT }));
  expect(await listen(vendor).answer).toMatchObject({ finish: 'length', text: TEXT });
});

test.each(['openai', 'anthropic', 'gemini'] as const)('%s: a refusal in a stream is final', async (vendor) => {
  fake.on(() => ({ finish: 'refusal', text: 'I cannot help with that.' }));
  await expect(listen(vendor).answer).rejects.toMatchObject({ type: 'LlmRefused', retryable: false });
});

const CUTS = [
  { finish: 'none', text: TEXT },
  { say: TEXT, ending: 'end' },
  { say: TEXT, ending: 'half a frame' },
  { say: TEXT, ending: 'reset' },
] satisfies Reply[];

test.each(VENDORS)('%s: a stream that is cut is never an answer, however much of it came', async (vendor) => {
  for (const reply of CUTS) {
    fake.on(() => reply);
    const { answer, deltas } = listen(vendor);
    const error: unknown = await answer.catch((reason: unknown) => reason);
    expect([reply, error]).toMatchObject([reply, { type: 'LlmTruncatedStream', retryable: true }]);
    if (reply.ending !== 'reset') expect(deltas.join('')).toContain(TEXT);
  }
});

test.each(VENDORS)('%s: a stream that stalls is LlmTimeout, by silence or in all, and hangs up', async (vendor) => {
  const impatient = localFetch({ idle_timeout_ms: 100 });
  fake.on(() => ({ say: TEXT, ending: 'hang' }));
  for (const given of [{ fetch: impatient.fetch }, { timeout_ms: 100 }]) {
    await expect(listen(vendor, given).answer).rejects.toMatchObject({ type: 'LlmTimeout', retryable: true });
  }
  await fake.until(() => fake.calls.every((call) => call.client_closed), 'the client closed both calls');
  await impatient.close();
});

test.each(VENDORS)(
  '%s: a call that is cancelled amid its stream rejects with the reason and hangs up',
  async (vendor) => {
    fake.on(() => ({ say: TEXT, ending: 'hang' }));
    const cancellation = new AbortController();
    const reason = new Error('the run was cancelled');
    const { answer } = listen(vendor, { signal: cancellation.signal, on_delta: () => cancellation.abort(reason) });
    await expect(answer).rejects.toBe(reason);
    await fake.until(() => fake.calls[0]!.client_closed, 'the client closed the call');
  },
);

test.each([
  ['openai', 'LlmOverloaded'],
  ['anthropic', 'LlmOverloaded'],
  ['gemini', 'LlmOverloaded'],
  ['ollama', 'LlmUnavailable'],
] as const)('%s: an error amid the stream is %s, in the words of the vendor', async (vendor, type) => {
  fake.on(() => ({ say: TEXT, ending: 'error' }));
  const message = expect.stringContaining('fake overload');
  await expect(listen(vendor).answer).rejects.toMatchObject({ type, retryable: true, message });
});

test('what an error amid a stream says of the key or the limit is understood, and keys are removed from it', async () => {
  const errors = [
    [{ type: 'authentication_error', message: `bad key ${API_KEY}` }, 'LlmAuth'],
    [{ type: 'rate_limit_error', message: 'slow down' }, 'LlmRateLimited'],
    [{ type: 'billing_error', message: 'no credit' }, 'LlmQuotaExhausted'],
    [{ type: 'api_error', message: 'oops' }, 'LlmUnavailable'],
  ] as const;
  const headers = { 'content-type': 'text/event-stream' };
  for (const [error, type] of errors) {
    const body = `event: error\ndata: ${JSON.stringify({ type: 'error', error })}\n\n`;
    fake.on(() => ({ status: 200, headers, body }));
    const message = expect.not.stringContaining(API_KEY);
    await expect(listen('anthropic').answer).rejects.toMatchObject({ type, message });
  }
});

test.each(VENDORS)('%s: a 200 that is no stream and no answer is a bad response', async (vendor) => {
  const json = { 'content-type': 'application/json' };
  const sse = { 'content-type': 'text/event-stream' };
  const replies: Reply[] = [
    { status: 200, headers: json, body: '{"choices": [' },
    { status: 200, headers: json, body: '' },
    { status: 200, headers: json, body: '{}' },
    { status: 200, headers: json, body: 'null' },
    { status: 200, headers: sse, body: '' },
    { status: 200, headers: { 'content-type': 'text/html' }, body: '<html><h1>Bad gateway</h1></html>' },
    { status: 204, body: '' },
  ];
  for (const reply of replies) {
    fake.on(() => reply);
    const error: unknown = await listen(vendor).answer.catch((reason: unknown) => reason);
    expect([reply, error]).toMatchObject([reply, { type: 'LlmBadResponse', retryable: true }]);
  }
});

test.each(VENDORS)('%s: a stream larger than the cap is not read to its end', async (vendor) => {
  const small = localFetch({ max_body_bytes: 2000 });
  fake.on(() => 'x'.repeat(50_000));
  await expect(listen(vendor, { fetch: small.fetch }).answer).rejects.toMatchObject({ retryable: true });
  await small.close();
});

test.each(VENDORS)('%s: a server that refuses to stream is asked without', async (vendor) => {
  fake.on(({ stream }) => (stream ? { status: 400, body: { error: { message: 'stream is not supported' } } } : TEXT));
  const { answer, deltas } = listen(vendor, { model: 'a-silent-model' });
  expect((await answer).text).toBe(TEXT);
  expect(deltas).toEqual([]);
});

test('a compatible server that streams no usage is counted by characters', async () => {
  const frames = [{ choices: [{ delta: { content: 'Twelve chars' } }] }, { choices: [{ finish_reason: 'stop' }] }];
  const body = frames.map((frame) => `data: ${JSON.stringify(frame)}\n\n`).join('');
  fake.on(() => ({ status: 200, headers: { 'content-type': 'text/event-stream' }, body }));
  expect(await listen('openai').answer).toMatchObject({ model: 'a-model', input_tokens: 8, output_tokens: 3 });
});

test('the thoughts of Gemini are not streamed, but they cost output tokens', async () => {
  const frames = [
    { candidates: [{ content: { parts: [{ text: 'Let me think.', thought: true }] } }] },
    { candidates: [{ content: { parts: [{ text: 'Yes.' }] }, finishReason: 'STOP' }] },
    { usageMetadata: { promptTokenCount: 7, candidatesTokenCount: 2, thoughtsTokenCount: 40 } },
  ];
  const body = frames.map((frame) => `data: ${JSON.stringify(frame)}\n\n`).join('');
  fake.on(() => ({ status: 200, headers: { 'content-type': 'text/event-stream' }, body }));
  const { answer, deltas } = listen('gemini');
  expect(await answer).toMatchObject({ text: 'Yes.', input_tokens: 7, output_tokens: 42 });
  expect(deltas).toEqual(['Yes.']);
});
