import { expect, test } from 'vitest';
import { parseToolArguments, type ToolTurn } from '../../src/llm/index.ts';
import { ask, useFakeModel, VENDORS } from '../fakes/ask.ts';

/** Tools as each vendor wants them, whole and streamed. */

const { fake, fetch } = await useFakeModel();

const weather = {
  name: 'weather',
  description: 'The weather in a city.',
  json_schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};
const clock = { name: 'clock', description: 'The time.', json_schema: { type: 'object', properties: {} } };
const tools = [weather, clock];
const calls = [
  { name: 'weather', arguments: { city: 'Zürich "centre"' } },
  { name: 'clock', arguments: {} },
];

const ways = VENDORS.flatMap((vendor) => [false, true].map((streamed) => ({ vendor, streamed })));
const streaming = (streamed: boolean, said: string[] = []) =>
  streamed ? { on_delta: (text: string) => void said.push(text) } : {};

test.each(ways)(
  '$vendor, streamed: $streamed: a model calls tools, gets their results and answers',
  async ({ vendor, streamed }) => {
    const said: string[] = [];
    fake.on(({ calls: { length } }) => (length ? 'Sunny at noon.' : { call: calls, text: 'Let me look it up.' }));
    const first = await ask(fake, vendor, { fetch, tools, ...streaming(streamed, said) });
    expect(first).toMatchObject({ text: 'Let me look it up.', finish: 'stop', output_tokens: 5 });
    expect(first.tool_calls!.map(({ name, arguments: given }) => [name, parseToolArguments(given)])).toEqual(
      calls.map(({ name, arguments: given }) => [name, given]),
    );
    expect(first.tool_calls![0]!.id).not.toBe(first.tool_calls![1]!.id);
    expect(said.join('')).toBe(streamed ? 'Let me look it up.' : '');

    const results = [
      { text: 'Sunny.', is_error: false },
      { text: 'The clock is broken.', is_error: true },
    ];
    const turns: ToolTurn[] = [{ text: first.text, calls: first.tool_calls!, results }];
    const last = await ask(fake, vendor, { fetch, tools, turns, ...streaming(streamed) });
    expect(last).toMatchObject({ text: 'Sunny at noon.' });
    expect(last.tool_calls).toBeUndefined();

    expect(fake.calls[0]).toMatchObject({ tools, tool_choice: undefined, calls: [], prompt: 'Say something.' });
    expect(fake.calls[1]).toMatchObject({
      tools,
      prompt: 'Say something.',
      calls: [
        { ...calls[0], result: 'Sunny.', is_error: false },
        { ...calls[1], result: 'The clock is broken.', is_error: true },
      ],
    });
  },
);

const WIRE_TURNS = {
  openai: [
    {
      role: 'assistant',
      content: 'Hm.',
      tool_calls: [{ id: 'a1', type: 'function', function: { name: 'weather', arguments: '{"city":"Rome"}' } }],
    },
    { role: 'tool', tool_call_id: 'a1', content: 'Rain.' },
  ],
  anthropic: [
    {
      role: 'assistant',
      content: [
        { type: 'text', text: 'Hm.' },
        { type: 'tool_use', id: 'a1', name: 'weather', input: { city: 'Rome' } },
      ],
    },
    { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'a1', content: 'Rain.' }] },
  ],
  gemini: [
    {
      role: 'model',
      parts: [
        { text: 'Hm.' },
        { functionCall: { id: 'a1', name: 'weather', args: { city: 'Rome' } }, thoughtSignature: 'c2lnbmVk' },
      ],
    },
    { role: 'user', parts: [{ functionResponse: { id: 'a1', name: 'weather', response: { output: 'Rain.' } } }] },
  ],
  ollama: [
    { role: 'assistant', content: 'Hm.', tool_calls: [{ function: { name: 'weather', arguments: { city: 'Rome' } } }] },
    { role: 'tool', tool_name: 'weather', content: 'Rain.' },
  ],
};

test.each(VENDORS)('%s: a turn on the wire, and a tool that must, or must not, be called', async (vendor) => {
  fake.on(() => 'Take an umbrella.');
  const call = { id: 'a1', name: 'weather', arguments: '{"city":"Rome"}', signature: 'c2lnbmVk' };
  const turns = [{ text: 'Hm.', calls: [call], results: [{ text: 'Rain.', is_error: false }] }];
  await ask(fake, vendor, { fetch, tools, turns, tool_choice: 'none' });
  await ask(fake, vendor, { fetch, tools, tool_choice: { name: 'clock' } });
  const { body, ...last } = fake.calls[0]!;
  expect((body.messages ?? body.contents).slice(-2)).toEqual(WIRE_TURNS[vendor]);
  const forced = fake.calls[1]!;
  // Ollama has no choice of tools: it gets only the one, or none.
  if (vendor === 'ollama') {
    expect([last.tools, forced.tools]).toEqual([[], [clock]]);
    expect(forced.system).toContain('clock');
  } else expect([last.tool_choice, forced.tool_choice]).toEqual(['none', 'clock']);
});

test.each([
  ['openai', false],
  ['openai', true],
  ['anthropic', true],
] as const)('%s, streamed: %s: arguments that are no JSON are a call all the same', async (vendor, streamed) => {
  fake.on(() => ({ call: [{ name: 'weather', arguments: '{"city": "Rome' }], finish: 'length' }));
  const answer = await ask(fake, vendor, { fetch, tools, ...streaming(streamed) });
  expect(answer).toMatchObject({ finish: 'length', tool_calls: [{ name: 'weather', arguments: '{"city": "Rome' }] });
  expect(() => parseToolArguments(answer.tool_calls![0]!.arguments)).toThrow(SyntaxError);
  // Servers that read the arguments of earlier turns must be able to.
  const turns = [{ text: '', calls: answer.tool_calls!, results: [{ text: 'No JSON.', is_error: true }] }];
  await ask(fake, vendor, { fetch, tools, turns });
  expect(fake.calls[1]!.calls).toMatchObject([{ arguments: {}, result: 'No JSON.' }]);
});

test('keywords of a schema that Gemini does not know are not sent to it', async () => {
  fake.on(() => 'ok');
  const city = { type: 'string', enum: ['Rome', { type: 'x' }], minLength: 1, pattern: '.' };
  const json_schema = {
    $schema: 'x',
    type: 'object',
    properties: { pattern: city, items: { type: 'array', items: city } },
  };
  await ask(fake, 'gemini', { fetch, tools: [{ ...weather, json_schema }] });
  const known = { type: 'string', enum: city.enum };
  const properties = { pattern: known, items: { type: 'array', items: known } };
  expect(fake.calls[0]!.tools[0]!.json_schema).toEqual({ type: 'object', properties });
});

test('a stream that is cut in the middle of a call is an error', async () => {
  for (const vendor of VENDORS) {
    fake.reset();
    fake.on(() => ({ call: calls, finish: 'none' }));
    const answer = ask(fake, vendor, { fetch, tools, on_delta: () => {} });
    await expect(answer, vendor).rejects.toMatchObject({ type: 'LlmTruncatedStream' });
  }
});

test('arguments are an object, of what can be stored', () => {
  expect(parseToolArguments(' ')).toEqual({});
  expect(parseToolArguments('{"a":"x\\u0000y","__proto__":{"b":1}}')).toEqual({ a: 'xy' });
  for (const text of ['[1]', '"x"', 'null', '{"a":']) expect(() => parseToolArguments(text)).toThrow(SyntaxError);
});
