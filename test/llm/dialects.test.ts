import { expect, test, vi } from 'vitest';
import type { ModelRequest, ToolTurn } from '../../src/llm/index.ts';
import { ask, useFakeModel, VENDORS } from '../fakes/ask.ts';
import type { ModelCall, Reply } from '../fakes/model.ts';
import type { FakeVendor } from '../fakes/wire.ts';

/** Servers that refuse a part of a request by name, and how they are asked without it. */

const { fake, fetch } = await useFakeModel();

const clock = { name: 'clock', description: 'The time.', json_schema: { type: 'object', properties: {} } };
const schema = { name: 'verdict', json_schema: { type: 'object', properties: { passed: { type: 'boolean' } } } };
const result = { text: 'Noon.', is_error: false };
const turnWith = (call: object): ToolTurn[] => [
  { text: '', calls: [{ id: 'functions.clock:0', name: 'clock', arguments: '{}', ...call }], results: [result] },
];
const metadata = {
  openai: { message: { reasoning_content: 'Hm.' } },
  anthropic: [{ type: 'thinking', thinking: 'Hm.' }],
};

type Body = Record<string, any>;
type Given = Partial<ModelRequest> & { on_delta?: (text: string) => void };
type Row = {
  what: string;
  vendors: readonly FakeVendor[];
  /** Whether the request still has what the server refuses. */
  has: (body: Body, call: ModelCall) => unknown;
  /** The refusal: a body with a status, 400 if none is given. */
  refusal: { status?: number; body: unknown };
  given?: Given;
};

const streamed = { on_delta: () => {} };
const openai = (message: string, more: object = {}) => ({ body: { error: { message, ...more } } });
/** Of Mistral and vLLM. */
const extra = (...loc: string[]) => [
  { type: 'extra_forbidden', loc: ['body', ...loc], msg: 'Extra inputs are not permitted' },
];

const ROWS: Row[] = [
  {
    what: 'stream_options (Mistral: the reason in an object)',
    vendors: ['openai'],
    has: (body) => body.stream_options,
    refusal: { status: 422, body: { object: 'error', message: { detail: extra('stream_options') } } },
    given: streamed,
  },
  {
    what: 'stream_options (FastAPI)',
    vendors: ['openai'],
    has: (body) => body.stream_options,
    refusal: { status: 422, body: { detail: extra('stream_options', 'include_usage') } },
    given: streamed,
  },
  {
    what: 'stream_options, by its parameter only',
    vendors: ['openai'],
    has: (body) => body.stream_options,
    refusal: openai('Unknown parameter.', { param: 'stream_options' }),
    given: streamed,
  },
  {
    what: 'streaming',
    vendors: VENDORS,
    has: (_, { stream }) => stream,
    refusal: { status: 501, body: { message: 'Streaming is not supported by this deployment.' } },
    given: streamed,
  },
  {
    what: 'max_tokens (Azure)',
    vendors: ['openai'],
    has: (body) => body.max_tokens,
    refusal: openai(
      "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    ),
  },
  {
    what: 'more tokens than it can write',
    vendors: VENDORS,
    has: (_, { max_output_tokens }) => max_output_tokens! > 4096,
    refusal: openai(
      'max_tokens: 8192 > 4096, which is the maximum allowed number of output tokens for claude-3-20240229',
    ),
    given: { max_output_tokens: 8192 },
  },
  {
    what: 'a schema, and any JSON mode',
    vendors: VENDORS,
    has: (body) => body.response_format ?? body.output_config ?? body.generationConfig?.responseMimeType ?? body.format,
    refusal: openai('This response_format type is unavailable now; no structured outputs, mime types, JSON grammars'),
    given: { schema },
  },
  {
    what: 'a forced tool (DeepSeek)',
    vendors: ['openai', 'anthropic', 'gemini'],
    has: (_, { tool_choice }) => tool_choice,
    refusal: openai('Thinking mode does not support this tool_choice'),
    given: { tools: [clock], tool_choice: { name: 'clock' } },
  },
  {
    what: 'a forced tool (OpenRouter)',
    vendors: ['openai'],
    has: (_, { tool_choice }) => tool_choice,
    refusal: {
      status: 404,
      body: { error: { message: "No endpoints found that support the provided 'tool_choice' value.", code: 404 } },
    },
    given: { tools: [clock], tool_choice: { name: 'clock' } },
  },
  {
    what: 'the system role (Gemma in llama.cpp)',
    vendors: ['openai', 'ollama'],
    has: (_, { system }) => system,
    refusal: {
      status: 500,
      body: { error: { code: 500, message: 'System role not supported', type: 'server_error' } },
    },
  },
  {
    what: 'the system role (o1)',
    vendors: ['openai'],
    has: (_, { system }) => system,
    refusal: openai("Unsupported value: 'messages[0].role' does not support 'system' with this model."),
  },
  {
    what: 'the system instruction (Gemma at Google)',
    vendors: ['gemini'],
    has: (_, { system }) => system,
    refusal: openai('Developer instruction is not enabled for models/gemma-3-27b-it'),
  },
  {
    what: 'ids of calls (Mistral)',
    vendors: ['openai'],
    has: (body) => body.messages.some((said: Body) => said.tool_call_id && !/^[a-zA-Z0-9]{9}$/.test(said.tool_call_id)),
    refusal: { body: { message: 'Tool call id was functions.clock:0 but must be a-z, A-Z, 0-9, with a length of 9.' } },
    given: { tools: [clock], turns: turnWith({}) },
  },
  {
    what: 'ids of calls (Anthropic)',
    vendors: ['anthropic'],
    has: (body) => !/^[a-zA-Z0-9_-]+$/.test(body.messages[1].content[0].id),
    refusal: openai("messages.1.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"),
    given: { tools: [clock], turns: turnWith({}) },
  },
  {
    what: 'reasoning of another server',
    vendors: ['openai'],
    has: (body) => body.messages.some((said: Body) => 'reasoning_content' in said),
    refusal: { status: 422, body: { detail: extra('messages', '2', 'assistant', 'reasoning_content') } },
    given: { tools: [clock], turns: turnWith({ vendor_metadata: metadata }) },
  },
  {
    what: 'thoughts of another account',
    vendors: ['anthropic'],
    has: (body) => body.messages[1].content[0].type === 'thinking',
    refusal: openai('messages.1.content.0: Invalid `signature` in `thinking` block'),
    given: { tools: [clock], turns: turnWith({ vendor_metadata: metadata }) },
  },
];

const cases = ROWS.flatMap((row) => row.vendors.map((vendor) => ({ ...row, vendor, name: `${vendor}: ${row.what}` })));

test.each(cases)('$name: what a server refuses is left out at once, and of the next call too', async (row) => {
  const { vendor, has, refusal, given, name: model } = row;
  const answers = (call: ModelCall): Reply => (has(call.body, call) ? { status: 400, ...refusal } : 'Yes.');
  fake.on(answers);
  const asked = { fetch, model: slug(model), ...given };
  expect(await ask(fake, vendor, asked)).toMatchObject({ text: 'Yes.', finish: 'stop' });
  const first = fake.calls.length;
  expect(first).toBeGreaterThan(1);
  await ask(fake, vendor, asked);
  expect(fake.calls.slice(first)).toHaveLength(1);
  const { system, prompt } = fake.calls.at(-1)!;
  expect(`${system} ${prompt}`).toMatch(/You are a test\.[^]*Say something\./);
});

const slug = (words: string) => words.replaceAll(/\W+/g, '-').replace(/-$/, '');

test('what has no parameter is asked for in words', async () => {
  fake.on(({ tool_choice }) => (tool_choice ? { status: 400, body: { error: 'no tool_choice' } } : 'Yes.'));
  const other = { ...clock, name: 'calendar' };
  await ask(fake, 'openai', { fetch, model: 'in-words', tools: [clock, other], tool_choice: { name: 'clock' } });
  const [, { system, tools }] = fake.calls as [ModelCall, ModelCall];
  expect(tools).toEqual([clock]);
  expect(system).toContain('Answer with a call of the tool clock.');
});

test('max_completion_tokens and max_tokens are both tried, whichever comes first', async () => {
  const refused = (name: string): Reply => ({ status: 400, body: { error: `Unrecognized argument: ${name}` } });
  fake.on(({ body }) => (body.max_completion_tokens ? refused('max_completion_tokens') : 'Yes.'));
  expect(await ask(fake, 'openai', { fetch, model: 'gpt-5-mini' })).toMatchObject({ text: 'Yes.' });
  fake.on(({ body }) => refused(Object.keys(body).find((name) => name.startsWith('max_'))!));
  await expect(ask(fake, 'openai', { fetch, model: 'gpt-5-nano' })).rejects.toMatchObject({ type: 'LlmBadRequest' });
  expect(fake.calls).toHaveLength(4);
});

test('a server that refuses several parts, one after another, has its answer; one that refuses all does not go on for ever', async () => {
  const given = { fetch, schema, ...streamed, tools: [clock], tool_choice: { name: 'clock' } };
  fake.on(({ body }) => {
    for (const part of ['stream_options', 'tool_choice', 'response_format', 'max_tokens', 'stream']) {
      if (body[part]) return { status: 400, body: { detail: `${part} is unknown` } };
    }
    return 'Yes.';
  });
  expect(await ask(fake, 'openai', { ...given, model: 'refuses-much' })).toMatchObject({ text: 'Yes.' });
  expect(fake.calls).toHaveLength(7);
  const words = 'stream_options tool_choice json schema max_tokens system role tool_call_id reasoning stream';
  fake.on(() => ({ status: 400, body: { detail: words } }));
  await expect(ask(fake, 'openai', { ...given, model: 'refuses-all' })).rejects.toMatchObject({
    type: 'LlmBadRequest',
  });
  expect(fake.calls).toHaveLength(7 + 7);
});

test('one idempotency key is for one body', async () => {
  fake.on(({ body }) => (body.stream_options ? { status: 400, body: { error: 'stream_options?' } } : 'Yes.'));
  await ask(fake, 'openai', { fetch, model: 'with-key', idempotency_key: 'run-T1', ...streamed });
  const keys = fake.calls.map(({ headers }) => headers['idempotency-key']);
  expect(keys[0]).toBe('run-T1-words');
  expect(new Set(keys).size).toBe(2);
});

test('only what helped is remembered: of this model, with this key, for an hour', async () => {
  fake.on(({ body }) => (body.response_format ? { status: 400, body: { error: 'response_format?' } } : 'Yes.'));
  const given = { fetch, schema, model: 'remembered' };
  const callsFor = async (more: object) => {
    const before = fake.calls.length;
    await ask(fake, 'openai', { ...given, ...more });
    return fake.calls.length - before;
  };
  expect(await callsFor({})).toBe(3);
  expect(await callsFor({})).toBe(1);
  expect(await callsFor({ model: 'another' })).toBe(3);
  expect(await callsFor({ api_key: 'sk-canary-another' })).toBe(3);
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3_600_001 });
  expect(await callsFor({}).finally(() => vi.useRealTimers())).toBe(3);

  fake.on(() => ({ status: 400, body: { error: 'the format of your prompt is odd' } }));
  await expect(callsFor({ model: 'misread' })).rejects.toMatchObject({ type: 'LlmBadRequest' });
  fake.on(() => 'Yes.');
  await callsFor({ model: 'misread' });
  expect(fake.calls.at(-1)!.json_schema).toBeDefined();
});

test.each([
  ['it names nothing that was sent', 400, 'temperature is out of range'],
  ['the words are in another word', 400, 'See our information on upstream limits.'],
  ['it failed, and refused nothing', 500, 'the stream broke'],
])('%s: it is not asked again', async (_, status, error) => {
  fake.on(() => ({ status, body: { error } }));
  await expect(ask(fake, 'openai', { fetch, model: 'as-it-is', schema, ...streamed })).rejects.toMatchObject({
    status,
  });
  expect(fake.calls).toHaveLength(1);
});

test('tools are never left out in silence', async () => {
  fake.on(() => ({ status: 400, body: { error: 'registry.ollama.ai/library/llama3:latest does not support tools' } }));
  await expect(ask(fake, 'ollama', { fetch, tools: [clock] })).rejects.toMatchObject({
    type: 'LlmBadRequest',
    message: expect.stringContaining('llama3:latest does not support tools'),
  });
  expect(fake.calls).toHaveLength(1);
});
