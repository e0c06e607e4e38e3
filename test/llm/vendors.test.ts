import { expect, test } from 'vitest';
import { z } from 'zod';
import { callModel } from '../../src/llm/index.ts';
import { API_KEY, ask, useFakeModel, VENDORS } from '../fakes/ask.ts';

const { fake, fetch } = await useFakeModel();

const schema = {
  name: 'evaluate_task',
  json_schema: z.toJSONSchema(
    z.object({ passed: z.boolean(), score: z.number().min(0).max(1), note: z.string().max(9).optional() }),
  ) as Record<string, unknown>,
};

const strict = {
  type: 'object',
  properties: { passed: { type: 'boolean' }, score: { type: 'number' }, note: { type: 'string' } },
  required: ['passed', 'score', 'note'],
  additionalProperties: false,
};

test.each(VENDORS)('%s: a plain answer with its usage', async (vendor) => {
  fake.on(() => 'Something.');
  expect(await ask(fake, vendor, { fetch })).toEqual({
    text: 'Something.',
    model: 'a-model',
    finish: 'stop',
    input_tokens: 8,
    output_tokens: 3,
  });
  expect(fake.calls).toMatchObject([
    { vendor, model: 'a-model', system: 'You are a test.', prompt: 'Say something.', api_key: API_KEY },
  ]);
});

const messages = [
  { role: 'system', content: 'You are a test.' },
  { role: 'user', content: 'Say something.' },
];
const WIRE_BODIES = {
  openai: {
    model: 'a-model',
    messages,
    max_tokens: 100,
    response_format: { type: 'json_schema', json_schema: { name: 'evaluate_task', strict: true, schema: strict } },
  },
  anthropic: {
    model: 'a-model',
    max_tokens: 100,
    system: 'You are a test.',
    messages: [messages[1]],
    output_config: { format: { type: 'json_schema', schema: strict } },
  },
  gemini: {
    contents: [{ role: 'user', parts: [{ text: 'Say something.' }] }],
    systemInstruction: { role: 'user', parts: [{ text: 'You are a test.' }] },
    generationConfig: { maxOutputTokens: 100, responseMimeType: 'application/json', responseJsonSchema: strict },
  },
  ollama: {
    model: 'a-model',
    stream: false,
    messages,
    options: { num_predict: 100, num_ctx: 8192 },
    format: strict,
  },
};

test.each(VENDORS)('%s: structured output by its own parameter, without what strict modes refuse', async (vendor) => {
  fake.on(() => ({ passed: true, score: 1 }));
  const { text } = await ask(fake, vendor, { fetch, schema });
  expect(JSON.parse(text)).toEqual({ passed: true, score: 1 });
  expect(fake.calls[0]!.body).toEqual(WIRE_BODIES[vendor]);
});

test.each([
  ['openai', 'response_format is unavailable now', ['json_schema', 'json_object', undefined]],
  ['gemini', 'Unknown name "responseJsonSchema"', ['application/json', 'application/json', undefined]],
  ['ollama', 'cannot unmarshal object into field .format', ['object', 'json', undefined]],
  ['anthropic', 'output_config: structured outputs are not supported', ['json_schema', undefined]],
] as const)('%s: a server that refuses a JSON mode is asked the next weaker way', async (vendor, refusal, modes) => {
  const modeOf = (body: Record<string, any>) =>
    body.response_format?.type ??
    body.generationConfig?.responseMimeType ??
    body.output_config?.format.type ??
    body.format?.type ??
    body.format;
  fake.on(({ body }) =>
    modeOf(body)
      ? { status: 400, body: vendor === 'ollama' ? { error: refusal } : { error: { message: refusal } } }
      : 'Here it is: {"passed":true}',
  );
  const { text } = await ask(fake, vendor, { fetch, schema, model: 'an-old-model' });
  expect(text).toContain('{"passed":true}');
  expect(fake.calls.map(({ body }) => modeOf(body))).toEqual(modes);
  expect(fake.calls[0]!.system).not.toContain('JSON schema');
  expect(fake.calls.at(-1)!.system).toContain('"score"');
});

test('a refusal that has nothing to do with JSON is not asked again', async () => {
  fake.on(() => ({ status: 400, body: { error: { message: 'temperature is out of range' } } }));
  await expect(ask(fake, 'openai', { fetch, schema })).rejects.toMatchObject({ type: 'LlmBadRequest' });
  expect(fake.calls).toHaveLength(1);
});

test.each(VENDORS)('%s: an answer cut at its token limit says so', async (vendor) => {
  fake.on(() => ({ finish: 'length', text: 'Something, but' }));
  expect(await ask(fake, vendor, { fetch })).toMatchObject({ finish: 'length', text: 'Something, but' });
});

test.each(VENDORS)('%s: an answer without the marker that ends it is not an answer', async (vendor) => {
  fake.on(() => ({ finish: 'none', text: 'Something whole or not' }));
  await expect(ask(fake, vendor, { fetch })).rejects.toMatchObject({ type: 'LlmTruncatedStream', retryable: true });
});

test.each(['openai', 'anthropic', 'gemini'] as const)('%s: a refusal is final', async (vendor) => {
  fake.on(() => ({ finish: 'refusal', text: 'I cannot help with that.' }));
  await expect(ask(fake, vendor, { fetch })).rejects.toMatchObject({ type: 'LlmRefused', retryable: false });
});

test('a blocked prompt of Gemini is a refusal with its reason', async () => {
  fake.on(() => ({ status: 200, body: { promptFeedback: { blockReason: 'PROHIBITED_CONTENT' } } }));
  await expect(ask(fake, 'gemini', { fetch })).rejects.toMatchObject({
    type: 'LlmRefused',
    message: expect.stringContaining('PROHIBITED_CONTENT'),
  });
});

test.each(VENDORS)('%s: a whole answer without text is not one', async (vendor) => {
  fake.on(() => ({ finish: 'stop', text: ' \n' }));
  const failure = { type: 'LlmEmptyAnswer', retryable: false, spent: { finish: 'stop' } };
  await expect(ask(fake, vendor, { fetch })).rejects.toMatchObject(failure);
});

test('the thoughts of Gemini are not its answer, but they cost output tokens', async () => {
  const parts = [{ text: 'Let me think.', thought: true }, { text: 'Yes' }, { text: '.' }];
  const usageMetadata = { promptTokenCount: 7, candidatesTokenCount: 2, thoughtsTokenCount: 40 };
  fake.on(() => ({
    status: 200,
    body: { candidates: [{ content: { parts }, finishReason: 'STOP' }], usageMetadata, modelVersion: 'a-model-001' },
  }));
  expect(await ask(fake, 'gemini', { fetch })).toEqual({
    text: 'Yes.',
    model: 'a-model-001',
    finish: 'stop',
    input_tokens: 7,
    output_tokens: 42,
  });
});

test('OpenAI models get max_completion_tokens, also through a gateway; others max_tokens', async () => {
  fake.on(() => 'ok');
  await ask(fake, 'openai', { fetch, model: 'o4-mini' });
  await ask(fake, 'openai', { fetch, model: 'gpt-oss-20b' });
  expect(fake.calls.map(({ body }) => [body.max_completion_tokens, body.max_tokens])).toEqual([
    [100, undefined],
    [undefined, 100],
  ]);
});

test('a compatible server that counts no tokens is counted by characters', async () => {
  const body = { choices: [{ message: { content: 'Twelve chars' }, finish_reason: 'stop' }] };
  fake.on(() => ({ status: 200, body }));
  expect(await ask(fake, 'openai', { fetch })).toMatchObject({ model: 'a-model', input_tokens: 8, output_tokens: 3 });
});

test('the idempotency key goes to the vendor, one for each different body', async () => {
  fake.on(() => 'ok');
  await ask(fake, 'openai', { fetch, idempotency_key: 'run-T1' });
  await ask(fake, 'openai', { fetch, idempotency_key: 'run-T1', schema });
  expect(fake.calls.map(({ headers }) => headers['idempotency-key'])).toEqual(['run-T1-words', 'run-T1-schema']);
});

test('a long prompt gets a context of Ollama that it fits in', async () => {
  fake.on(() => 'ok');
  await ask(fake, 'ollama', { fetch, prompt: 'word '.repeat(12_000) });
  expect(fake.calls[0]!.body.options.num_ctx).toBe(32_768);
});

test('Ollama and compatible servers need no key, and then none is sent', async () => {
  fake.on(() => 'ok');
  for (const vendor of VENDORS) {
    const target = { vendor, model: 'm', base_url: `${fake.baseUrl(vendor)}/` };
    const request = { system: '', prompt: 'x', max_output_tokens: 9 };
    await callModel(target, request, { signal: new AbortController().signal, fetch, timeout_ms: 5000 });
  }
  expect(fake.calls.map(({ api_key }) => api_key)).toEqual([undefined, undefined, undefined, undefined]);
});

test.each(['openai', 'anthropic', 'gemini'] as const)('%s itself is not called without a key', async (vendor) => {
  const options = { signal: new AbortController().signal, fetch: () => expect.unreachable(), timeout_ms: 5000 };
  const call = callModel({ vendor, model: 'm' }, { system: '', prompt: 'x', max_output_tokens: 9 }, options);
  await expect(call).rejects.toMatchObject({ type: 'LlmAuth', retryable: false });
});

test('a model name cannot lead Gemini to another path', async () => {
  for (const model of ['../../upload', 'm:countTokens?x=', 'm#', 'a b', '%2e%2e']) {
    await expect(ask(fake, 'gemini', { fetch, model })).rejects.toMatchObject({ type: 'LlmBadRequest' });
  }
  expect(fake.calls).toEqual([]);
});
