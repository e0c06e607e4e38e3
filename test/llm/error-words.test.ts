import { expect, test } from 'vitest';
import type { LlmError } from '../../src/llm/index.ts';
import { API_KEY, ask, useFakeModel, VENDORS } from '../fakes/ask.ts';
import type { FakeVendor } from '../fakes/wire.ts';

/** What servers say when they refuse, in whatever shape, is told. */

const { fake, fetch } = await useFakeModel();

async function failure(vendor: FakeVendor, status: number, body: unknown, given: object = {}): Promise<LlmError> {
  fake.on(() => ({ status, body }));
  return ask(fake, vendor, { fetch, ...given }).then(
    () => expect.unreachable(),
    (reason: LlmError) => reason,
  );
}

const words = 'seed is unknown';
const BODIES: [unknown, string][] = [
  [words, words],
  [JSON.stringify(words), words],
  [{ error: words }, words],
  [{ error: { message: words } }, words],
  [[{ error: { message: words } }], words],
  [{ message: words }, words],
  [{ detail: words }, words],
  [{ msg: words }, words],
  [{ errors: [words] }, words],
  [{ errors: [{ message: words }, { message: 'top_k too' }] }, `${words}; top_k too`],
  [{ errors: { seed: [words] }, message: words }, words],
  [{ error: { message: { detail: words } } }, words],
  [{ object: 'error', message: { detail: [{ loc: ['body', 'seed'], msg: 'is unknown' }] } }, 'seed: is unknown'],
  [
    { detail: [{ type: 'missing', loc: ['body', 'messages', 0, 'role'], msg: 'Field required', input: { a: 1 } }] },
    'messages.0.role: Field required',
  ],
  [{ error: 'Bad Request', message: [words], statusCode: 400 }, `Bad Request: ${words}`],
  [{ type: 'about:blank', title: 'Bad Request', status: 400, detail: words }, `Bad Request: ${words}`],
  [{ error: { message: words, param: 'seed', code: 'unknown_parameter' } }, words],
  [{ error: { message: 'Unknown parameter.', param: 'seed' } }, 'Unknown parameter.: seed'],
  [{ error: 'invalid_request', error_description: words }, `invalid_request: ${words}`],
  [
    { error: { message: 'Provider returned error', code: 400, metadata: { raw: `{"error":{"message":"${words}"}}` } } },
    `Provider returned error: ${words}`,
  ],
  [{ error: { code: 'unknown_seed' } }, 'unknown_seed'],
];

test.each(BODIES)('%j', async (body, said) => {
  const { message } = await failure('openai', 400, body);
  expect(message.replace(/^.*\(HTTP 400\)/, '')).toBe(`: ${said}`);
});

test.each([
  '',
  '<!doctype html><h1>Bad gateway',
  '{}',
  '[]',
  'null',
  '7',
  '{"error":null}',
  '{"error":{"message":"<html>"}}',
])('nothing is told of %j, for it says nothing', async (body) => {
  for (const vendor of VENDORS) expect((await failure(vendor, 400, body)).message).toMatch(/\(HTTP 400\)\.$/);
});

test.each([
  ['long', { detail: 'x '.repeat(100_000) }],
  ['many', { errors: Array.from({ length: 50_000 }, (_, at) => ({ message: `fault ${at}` })) }],
  ['deep', JSON.parse(`${'{"error":'.repeat(3_000)}"deep"${'}'.repeat(3_000)}`)],
  ['with the key in them', { detail: [{ msg: `The key ${API_KEY} is odd` }] }],
])('words that are %s are cut and clean', async (_, body) => {
  const { message } = await failure('openai', 400, body);
  expect(message.length).toBeLessThan(700);
  expect(message).not.toContain(API_KEY);
});

const nowhere: [FakeVendor, unknown][] = [
  ['openai', { detail: 'Not Found' }],
  ['openai', '404 page not found'],
  ['openai', '<html>nginx</html>'],
  ['openai', { message: 'Cannot POST /openai/v1/chat/completions', error: 'Not Found' }],
  ['openai', { error: 'Unexpected endpoint or method. (POST /openai/v1/chat/completions)' }],
  ['anthropic', { error: { type: 'not_found_error', message: 'Not Found' } }],
  ['gemini', { error: { code: 404, message: 'Not Found: /gemini/v1beta/models/a-model:generateContent' } }],
  ['ollama', '404 page not found'],
];
test.each(nowhere)('%s: a 404 that is not about the model names what was asked: %j', async (vendor, body) => {
  const paths = {
    openai: '/openai/v1/chat/completions',
    anthropic: '/anthropic/v1/messages',
    gemini: '/gemini/v1beta/models/a-model:generateContent',
    ollama: '/ollama/api/chat',
  };
  const error = await failure(vendor, 404, body);
  expect(error).toMatchObject({ type: 'LlmNotFound', retryable: false, status: 404 });
  expect(error.message).toContain(`has nothing at ${paths[vendor]} (HTTP 404)`);
});

const unknown: [FakeVendor, unknown][] = [
  ['openai', { error: { message: 'The model `x` does not exist or you do not have access to it.' } }],
  [
    'openai',
    { error: { code: 'DeploymentNotFound', message: 'The API deployment for this resource does not exist.' } },
  ],
  ['openai', { error: { message: 'No endpoints found for a-model.', code: 404 } }],
  ['openai', { detail: '模型不存在' }],
  ['anthropic', { type: 'error', error: { type: 'not_found_error', message: 'model: claude-0' } }],
  ['gemini', { error: { code: 404, message: 'models/x is not found for API version v1beta', status: 'NOT_FOUND' } }],
  ['ollama', { error: 'model "x" not found, try pulling it first' }],
];
test.each(unknown)('%s: a 404 about the model says so: %j', async (vendor, body) => {
  const error = await failure(vendor, 404, body);
  expect(error).toMatchObject({
    type: 'LlmModelNotFound',
    message: expect.stringContaining('does not know this model'),
  });
});

test('a 404 about a parameter is a refusal', async () => {
  const body = { error: { message: 'No endpoints found that support tool use.', code: 404 } };
  const error = await failure('openai', 404, body);
  expect(error).toMatchObject({
    type: 'LlmBadRequest',
    message: expect.stringContaining('refused the request (HTTP 404): No'),
  });
});

test('the path that is told has no query and no key', async () => {
  const base_url = `${fake.baseUrl('openai')}/${API_KEY}`;
  const error: unknown = await ask(fake, 'openai', { fetch, base_url }).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ type: 'LlmNotFound', message: expect.stringContaining('/openai/v1/[redacted]') });
  fake.unscripted = [];
});
