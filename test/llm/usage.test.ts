import { expect, test } from 'vitest';
import { ask, useFakeModel, VENDORS } from '../fakes/ask.ts';
import type { Reply } from '../fakes/model.ts';
import type { FakeVendor } from '../fakes/wire.ts';

/** What counts as used, on every wire: counts that are missing or wrong are estimated, and never make an answer worse. */

const { fake, fetch } = await useFakeModel();

const text = 'word '.repeat(400);
/** Of the text, and of "You are a test." and "Say something.". */
const [writtenTokens, readTokens] = [500, 8];

type Usage = unknown;

const BODIES: Record<FakeVendor, (usage: Usage) => object> = {
  openai: (usage) => ({ choices: [{ message: { content: text }, finish_reason: 'stop' }], usage }),
  anthropic: (usage) => ({ model: 'm', content: [{ type: 'text', text }], stop_reason: 'end_turn', usage }),
  gemini: (usage) => ({
    candidates: [{ content: { parts: [{ text }] }, finishReason: 'STOP' }],
    usageMetadata: usage,
  }),
  ollama: (usage) => ({ message: { content: text }, done: true, done_reason: 'stop', ...(usage as object) }),
};

const STREAMS: Record<FakeVendor, (usage: Usage) => object[]> = {
  openai: (usage) => [
    { choices: [{ delta: { content: text } }] },
    { choices: [{ delta: {}, finish_reason: 'stop' }] },
    { choices: [], usage },
  ],
  anthropic: (usage) => anthropicStream(undefined, usage),
  gemini: (usage) => [
    { candidates: [{ content: { parts: [{ text }] } }] },
    { candidates: [{ finishReason: 'STOP' }], usageMetadata: usage },
  ],
  ollama: (usage) => [
    { message: { content: text }, done: false },
    { message: { content: '' }, done: true, done_reason: 'stop', ...(usage as object) },
  ],
};

function anthropicStream(atStart: Usage, atEnd: Usage): object[] {
  return [
    { type: 'message_start', message: { model: 'm', content: [], stop_reason: null, usage: atStart } },
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } },
    { type: 'content_block_stop', index: 0 },
    { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: atEnd },
    { type: 'message_stop' },
  ];
}

function frames(vendor: FakeVendor, events: object[]): Reply {
  const body = events.map((event) => {
    const data = JSON.stringify(event);
    if (vendor === 'ollama') return `${data}\n`;
    return `${'type' in event ? `event: ${String(event.type)}\n` : ''}data: ${data}\n\n`;
  });
  const type = vendor === 'ollama' ? 'application/x-ndjson' : 'text/event-stream';
  return { status: 200, headers: { 'content-type': type }, body: body.join('') };
}

const ways = VENDORS.flatMap((vendor) => [false, true].map((streamed) => ({ vendor, streamed })));

async function usageOf(vendor: FakeVendor, reply: Reply, streamed = false) {
  fake.reset();
  fake.on(() => reply);
  const answer = await ask(fake, vendor, { fetch, ...(streamed && { on_delta: () => {} }) });
  expect(answer).toMatchObject({ text, finish: 'stop' });
  expect(fake.calls).toHaveLength(1);
  return [answer.input_tokens, answer.output_tokens];
}

function replyOf(vendor: FakeVendor, usage: Usage, streamed: boolean): Reply {
  if (streamed) return frames(vendor, STREAMS[vendor](usage));
  return { status: 200, body: BODIES[vendor](usage) };
}

const NAMES: Record<FakeVendor, [input: string, output: string]> = {
  openai: ['prompt_tokens', 'completion_tokens'],
  anthropic: ['input_tokens', 'output_tokens'],
  gemini: ['promptTokenCount', 'candidatesTokenCount'],
  ollama: ['prompt_eval_count', 'eval_count'],
};

test.each(ways)(
  '$vendor, streamed: $streamed: what is counted counts, also as a text',
  async ({ vendor, streamed }) => {
    const [input, output] = NAMES[vendor];
    expect(await usageOf(vendor, replyOf(vendor, { [input]: 11, [output]: 22 }, streamed), streamed)).toEqual([11, 22]);
    expect(await usageOf(vendor, replyOf(vendor, { [input]: '11', [output]: 21.5 }, streamed), streamed)).toEqual([
      11, 22,
    ]);
  },
);

const NO_COUNTS = [undefined, null, -5, 0, 'many', '', true, {}, [], 1e300];

test.each(ways)('$vendor, streamed: $streamed: what is no count is estimated, each by itself', async (way) => {
  const { vendor, streamed } = way;
  const [input, output] = NAMES[vendor];
  for (const none of NO_COUNTS) {
    const usages = [
      [{ [input]: none, [output]: none }, [readTokens, writtenTokens]],
      [{ [input]: none, [output]: 22 }, [readTokens, 22]],
      [{ [input]: 11, [output]: none }, [11, writtenTokens]],
    ] as const;
    for (const [usage, tokens] of usages) {
      expect(await usageOf(vendor, replyOf(vendor, usage, streamed), streamed), JSON.stringify(usage)).toEqual(tokens);
    }
  }
});

test.each(ways)('$vendor, streamed: $streamed: something else in place of the counts', async ({ vendor, streamed }) => {
  // What Gemini's SDK makes of a text there is not for us to read.
  for (const usage of [undefined, null, [], ...(vendor === 'gemini' ? [] : ['none', 7])]) {
    const tokens = await usageOf(vendor, replyOf(vendor, usage, streamed), streamed);
    expect(tokens, JSON.stringify(usage)).toEqual([readTokens, writtenTokens]);
  }
});

const reasoning = (tokens: unknown) => ({ completion_tokens_details: { reasoning_tokens: tokens } });

test.each<[string, FakeVendor, object, [number, number]]>([
  ['reasoning within the output', 'openai', { prompt_tokens: 10, completion_tokens: 50, ...reasoning(40) }, [10, 50]],
  [
    'reasoning in the total only',
    'openai',
    { prompt_tokens: 10, completion_tokens: 5, total_tokens: 5015, ...reasoning(5000) },
    [10, 5005],
  ],
  ['a total that says more', 'openai', { prompt_tokens: 10, completion_tokens: 5, total_tokens: 5015 }, [10, 5005]],
  ['a total that says less', 'openai', { prompt_tokens: 10, completion_tokens: 5, total_tokens: 3 }, [10, 5]],
  [
    'reasoning beside the output',
    'openai',
    { prompt_tokens: 10, completion_tokens: 5, ...reasoning(5000) },
    [10, 5005],
  ],
  ['a total alone with the input', 'openai', { prompt_tokens: 10, total_tokens: 600 }, [10, 590]],
  ['a total alone with the output', 'openai', { completion_tokens: 500, total_tokens: 600 }, [100, 500]],
  ['a total alone', 'openai', { total_tokens: 600 }, [readTokens, writtenTokens]],
  [
    'a total of the input',
    'openai',
    { prompt_tokens: 10, completion_tokens: 0, total_tokens: 10 },
    [10, writtenTokens],
  ],
  ['reasoning alone', 'openai', { prompt_tokens: 10, ...reasoning(70) }, [10, writtenTokens + 70]],
  [
    'details that are none',
    'openai',
    { prompt_tokens: 10, completion_tokens: 5, completion_tokens_details: 'x' },
    [10, 5],
  ],
  [
    'a cache',
    'anthropic',
    { input_tokens: 3, cache_read_input_tokens: 900, cache_creation_input_tokens: null, output_tokens: 5 },
    [903, 5],
  ],
  [
    'thoughts',
    'gemini',
    { promptTokenCount: 10, candidatesTokenCount: 5, thoughtsTokenCount: 70, totalTokenCount: 85 },
    [10, 75],
  ],
  [
    'thoughts in the total only',
    'gemini',
    { promptTokenCount: 10, candidatesTokenCount: 5, totalTokenCount: 85 },
    [10, 75],
  ],
  ['thoughts alone', 'gemini', { promptTokenCount: 10, thoughtsTokenCount: 70 }, [10, writtenTokens + 70]],
  ['a total without candidates', 'gemini', { promptTokenCount: 100, totalTokenCount: 8100 }, [100, 8000]],
  [
    'results of tools in the prompt',
    'gemini',
    { promptTokenCount: 10, toolUsePromptTokenCount: 20, candidatesTokenCount: 5, totalTokenCount: 35 },
    [30, 5],
  ],
])('%s (%s)', async (_, vendor, usage, tokens) => {
  for (const streamed of [false, true]) {
    expect(await usageOf(vendor, replyOf(vendor, usage, streamed), streamed), `streamed: ${streamed}`).toEqual(tokens);
  }
});

const START = { input_tokens: 10, cache_read_input_tokens: 5, output_tokens: 1 };

test.each<[string, Usage, Usage, [number, number]]>([
  ['null beside the output', START, { input_tokens: null, cache_read_input_tokens: null, output_tokens: 7 }, [15, 7]],
  ['the output alone', undefined, { output_tokens: 7 }, [readTokens, 7]],
  ['none at the end: what was counted at the start is not the output', START, undefined, [15, writtenTokens]],
  ['all at the end, as more', START, { ...START, output_tokens: 7 }, [15, 7]],
])('a stream of Anthropic: %s', async (_, atStart, atEnd, tokens) => {
  expect(await usageOf('anthropic', frames('anthropic', anthropicStream(atStart, atEnd)), true)).toEqual(tokens);
});

test('counts of a stream that rise, and a last chunk that leaves them out', async () => {
  const chunk = (content: string, usage?: object, finish_reason?: string) => ({
    choices: [{ delta: { content }, finish_reason }],
    usage,
  });
  const chunks = [
    chunk(text, { prompt_tokens: 10, completion_tokens: 3 }),
    chunk('', { prompt_tokens: 10, completion_tokens: 9, total_tokens: 19 }, 'stop'),
    chunk('', { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 }),
  ];
  expect(await usageOf('openai', frames('openai', chunks), true)).toEqual([10, 9]);
});

test('calls of tools count where a server counts nothing', async () => {
  const called = { name: 'find', arguments: JSON.stringify({ query: 'x'.repeat(400) }) };
  const message = { content: null, tool_calls: [{ id: 'a', function: called }] };
  fake.on(() => ({ status: 200, body: { choices: [{ message, finish_reason: 'tool_calls' }] } }));
  const answer = await ask(fake, 'openai', { fetch });
  expect(answer.output_tokens).toBeGreaterThan(100);
});

test.each([
  ['English', 'The quick brown fox. ', 0.25],
  ['Russian', 'Быстрая лиса ', 0.5],
  ['Chinese', '研究市场并比较产品', 1],
  ['Japanese', '市場を調査して製品を比較する', 1],
  ['Korean', '시장을조사하고제품을비교', 1],
])('%s is estimated by what its characters are, and Ollama asked for room for a third more', async (_, words, rate) => {
  const prompt = words.repeat(Math.ceil(12_000 / words.length));
  fake.on(() => ({ status: 200, body: { message: { content: 'ok' }, done: true } }));
  const { input_tokens } = await ask(fake, 'ollama', { fetch, prompt, system: '' });
  expect(input_tokens / prompt.length).toBeGreaterThanOrEqual(rate * 0.85);
  expect(input_tokens / prompt.length).toBeLessThanOrEqual(rate * 1.05);
  expect(fake.calls[0]!.body.options.num_ctx - 100).toBeGreaterThanOrEqual(input_tokens * 1.33);
});
