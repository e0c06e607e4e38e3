import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { LlmError } from '../../src/llm/index.ts';
import { API_KEY, ask, localFetch, useFakeModel, VENDORS } from '../fakes/ask.ts';
import type { Reply } from '../fakes/model.ts';
import type { FakeVendor } from '../fakes/wire.ts';

const { fake, fetch } = await useFakeModel();

async function failure(vendor: FakeVendor, reply?: Reply, given: object = {}): Promise<LlmError> {
  if (reply !== undefined) fake.on(() => reply);
  const error: unknown = await ask(fake, vendor, { fetch, ...given }).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(LlmError);
  return error as LlmError;
}

const HTML = { headers: { 'content-type': 'text/html' }, body: '<html><h1>Bad gateway</h1></html>' };
const BY_STATUS: [number, Partial<{ headers: Record<string, string>; body: unknown }>, string, boolean][] = [
  [400, {}, 'LlmBadRequest', false],
  [401, {}, 'LlmAuth', false],
  [402, {}, 'LlmQuotaExhausted', false],
  [403, {}, 'LlmAuth', false],
  [404, {}, 'LlmNotFound', false],
  [404, { body: { error: { message: 'The model `x` does not exist' } } }, 'LlmModelNotFound', false],
  [408, {}, 'LlmTimeout', true],
  [409, {}, 'LlmUnavailable', true],
  [413, {}, 'LlmContextTooLong', false],
  [422, {}, 'LlmBadRequest', false],
  [429, {}, 'LlmRateLimited', true],
  [500, {}, 'LlmUnavailable', true],
  [500, { body: '{"error":' }, 'LlmUnavailable', true],
  [502, HTML, 'LlmUnavailable', true],
  [503, {}, 'LlmOverloaded', true],
  [529, {}, 'LlmOverloaded', true],
];

test.each(VENDORS)('%s: every status has its error, and is asked once', async (vendor) => {
  for (const [status, reply, type, retryable] of BY_STATUS) {
    fake.reset();
    const error = await failure(vendor, { status, ...reply });
    expect({ status, type: error.type, retryable: error.retryable }).toEqual({ status, type, retryable });
    expect(error.status).toBe(status);
    expect(error.message).not.toContain('<');
    expect(fake.calls).toHaveLength(1);
  }
});

const BY_BODY: [string, FakeVendor, number, object, string][] = [
  [
    'used-up quota',
    'openai',
    429,
    { error: { message: 'You exceeded', code: 'insufficient_quota' } },
    'LlmQuotaExhausted',
  ],
  ['billing', 'anthropic', 403, { error: { type: 'billing_error', message: 'x' } }, 'LlmQuotaExhausted'],
  [
    'credit',
    'anthropic',
    400,
    { error: { type: 'e', message: 'Your credit balance is too low' } },
    'LlmQuotaExhausted',
  ],
  ['overload', 'anthropic', 500, { error: { type: 'overloaded_error', message: 'x' } }, 'LlmOverloaded'],
  ['long prompt', 'anthropic', 400, { error: { message: 'prompt is too long: 9 > 8' } }, 'LlmContextTooLong'],
  ['long prompt', 'openai', 400, { error: { message: 'x', code: 'context_length_exceeded' } }, 'LlmContextTooLong'],
  ['unknown model', 'openai', 400, { error: { message: 'x', code: 'model_not_found' } }, 'LlmModelNotFound'],
  ['content filter', 'openai', 400, { error: { message: 'x', code: 'content_filter' } }, 'LlmRefused'],
  [
    'bad key',
    'gemini',
    400,
    { error: { code: 400, message: 'API key not valid', details: [{ reason: 'API_KEY_INVALID' }] } },
    'LlmAuth',
  ],
  [
    'quota of the day',
    'gemini',
    429,
    { error: { message: 'x', details: [{ violations: [{ quotaId: 'GenerateRequestsPerDayPerProject' }] }] } },
    'LlmQuotaExhausted',
  ],
  ['unpulled model', 'ollama', 404, { error: 'model "x" not found, try pulling it first' }, 'LlmModelNotFound'],
  ['code as a number, error in an array', 'openai', 429, [{ error: { message: 'slow', code: 429 } }], 'LlmRateLimited'],
];

test.each(BY_BODY)('%s of %s (%i)', async (_, vendor, status, body, type) => {
  expect(await failure(vendor, { status, body })).toMatchObject({ type, status });
});

test('a 200 that says it failed is that failure', async () => {
  const body = { error: { message: 'upstream is busy', code: 429 } };
  expect(await failure('openai', { status: 200, body })).toMatchObject({ type: 'LlmRateLimited', status: 429 });
});

test.each(VENDORS)('%s: a hint when to try again is kept, between a second and a day', async (vendor) => {
  const inAnHour = new Date(Date.now() + 3_600_000).toUTCString();
  const hints: [Record<string, string>, number | undefined, number?][] = [
    [{ 'retry-after': '7' }, 7000],
    [{ 'retry-after': '0.2' }, 1000],
    [{ 'retry-after': '3600' }, 3_600_000],
    [{ 'retry-after': '99999' }, 86_400_000],
    [{ 'retry-after-ms': '2500', 'retry-after': '3' }, 2500],
    [{ 'retry-after': inAnHour }, 3_540_000, 60_000],
    [{ 'retry-after': 'Thu, 01 Jan 1970 00:00:00 GMT' }, 1000],
    [{ 'retry-after': 'soon' }, undefined],
    [{}, undefined],
  ];
  for (const [headers, wait, tolerance = 0] of hints) {
    const error = await failure(vendor, { status: 429, headers });
    if (wait === undefined) expect(error.retry_after_ms).toBeUndefined();
    else expect(Math.abs(error.retry_after_ms! - wait)).toBeLessThanOrEqual(tolerance);
  }
});

test('Gemini gives its hint in the body', async () => {
  const details = [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '34.5s' }];
  const body = { error: { code: 429, message: 'x', status: 'RESOURCE_EXHAUSTED', details } };
  expect(await failure('gemini', { status: 429, body })).toMatchObject({
    type: 'LlmRateLimited',
    retry_after_ms: 34_500,
  });
});

test.each(VENDORS)('%s: a 200 that is no answer is a bad response, whatever it is', async (vendor) => {
  const json = { 'content-type': 'application/json' };
  const replies: Reply[] = [
    { status: 200, headers: json, body: '{"choices": [' },
    { status: 200, headers: json, body: '' },
    { status: 200, headers: json, body: '{}' },
    { status: 200, headers: json, body: 'null' },
    { status: 200, headers: json, body: '"text"' },
    { status: 200, headers: json, body: '[]' },
    { status: 200, headers: json, body: '{"choices":[],"content":[],"candidates":[],"message":{}}' },
    { status: 200, headers: { 'content-type': 'text/plain' }, body: 'Something.' },
    { status: 200, ...HTML },
    { status: 204, body: '' },
  ];
  for (const reply of replies) {
    const error = await failure(vendor, reply);
    expect([reply, error.type, error.retryable]).toEqual([reply, 'LlmBadResponse', true]);
  }
});

test.each(VENDORS)(
  '%s: a connection that is refused, or breaks within the answer, is worth a retry',
  async (vendor) => {
    expect(await failure(vendor, { cut: true })).toMatchObject({ type: 'LlmUnavailable', retryable: true });
    const base_url = fake.baseUrl(vendor).replace(/:\d+/, `:${await freePort()}`);
    const refused = await failure(vendor, undefined, { base_url });
    expect(refused).toMatchObject({ type: 'LlmUnavailable', message: expect.stringContaining('ECONNREFUSED') });
  },
);

test.each(VENDORS)('%s: an answer larger than the cap is not read to its end', async (vendor) => {
  const small = localFetch({ max_body_bytes: 2000 });
  expect(await failure(vendor, 'x'.repeat(50_000), { fetch: small.fetch })).toMatchObject({ type: 'LlmBadResponse' });
  await small.close();
});

test.each(VENDORS)('%s: a private address is blocked for good', async (vendor) => {
  const guarded = localFetch({ allowedPrivateCidrs: [] });
  expect(await failure(vendor, 'never', { fetch: guarded.fetch })).toMatchObject({
    type: 'EgressBlocked',
    retryable: false,
    message: expect.stringContaining('ORCHFLOW_ALLOWED_PRIVATE_CIDRS'),
  });
  expect(fake.calls).toEqual([]);
  await guarded.close();
});

test.each(VENDORS)('%s: where a model of the operator is, is in no error', async (vendor) => {
  const base_url = fake.baseUrl(vendor);
  const closed = base_url.replace(/:\d+/, `:${await freePort()}`);
  const guarded = localFetch({ allowedPrivateCidrs: [] });
  const words = `${base_url} said: dial tcp 10.0.0.5:8000, [fd00::1]:443 and 192.168.1.7: connection refused`;
  const body = vendor === 'ollama' ? { error: words } : { error: { message: words } };
  const headers = { location: 'http://10.0.0.5/admin' };
  for (const [reply, given] of [
    [{ status: 400, body }],
    [{ status: 404, body: {} }],
    [{ status: 500, body: words }],
    [{ status: 302, headers }],
    [undefined, { base_url: closed }],
    [undefined, { fetch: guarded.fetch }],
  ] as [Reply?, object?][]) {
    const { message } = await failure(vendor, reply, { ...given, is_operators: true });
    expect.soft(message).toMatch(/^(OpenAI|Anthropic|Gemini|Ollama) /);
    expect.soft(message).not.toMatch(/127\.0\.0\.1|10\.0|192\.168|fd00|localhost/);
  }
  await guarded.close();
});

test.each(VENDORS)('%s: no key is in an error, even when the vendor repeats it', async (vendor) => {
  const secrets = [API_KEY, 'sk-proj-abc', 'AIzaSyFAKE', 'orch_abc123', 'whsec_abc', 'Bearer abc.def'];
  const message = `Incorrect key: ${secrets.join(' and ')}, ${'x '.repeat(2000)}`;
  const body = vendor === 'ollama' ? { error: message } : { error: { message } };
  for (const status of [400, 401, 500]) {
    const error = await failure(vendor, { status, body });
    const everything = `${error.message} ${error.stack} ${JSON.stringify(error)} ${String(error.cause)}`;
    for (const secret of secrets) expect(everything).not.toContain(secret);
    expect(error.message).toContain('Incorrect key: [redacted]');
    expect(error.message.length).toBeLessThan(700);
  }
});

test('a key without any known shape is removed too', async () => {
  const error = await failure('openai', { status: 401, body: { error: 'bad: hunter22' } }, { api_key: 'hunter22' });
  expect(error.message).toMatch(/bad: \[redacted\]$/);
});

test.each(VENDORS)('%s: a base_url that is no URL, or no http, is refused for good', async (vendor) => {
  expect(await failure(vendor, undefined, { base_url: 'not a url' })).toMatchObject({ type: 'LlmBadRequest' });
  const file = await failure(vendor, undefined, { base_url: 'file:///etc' });
  expect([file.type, file.retryable]).toEqual(['EgressBlocked', false]);
});

test.each(VENDORS)('%s: a key that no header can carry is a bad key, and stays secret', async (vendor) => {
  const error = await failure(vendor, undefined, { api_key: 'sk-line\nx-evil: 1' });
  expect(error).toMatchObject({ type: 'LlmAuth', message: expect.not.stringContaining('evil') });
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
