import { expect, test } from 'vitest';
import { parseToolArguments } from '../../src/llm/index.ts';
import { ask, useFakeModel } from '../fakes/ask.ts';

/** Calls of tools as servers on OpenAI's wire send them. */

const { fake, fetch } = await useFakeModel();

const find = { name: 'find', description: 'Finds.', json_schema: { type: 'object', properties: {} } };
const tools = [find, { ...find, name: 'clock' }];

/** What a stream of calls has to come to, mostly. */
const TWO = [
  ['find', { q: 'one' }],
  ['find', { q: 'two' }],
];
const ONE = [TWO[0]!];
type Piece = { index?: number; id?: string; name?: string; args?: unknown };
const STREAMED: [what: string, pieces: Piece[], calls: unknown[]][] = [
  [
    'by the book',
    [
      { index: 0, id: 'a', name: 'find', args: '' },
      { index: 0, args: '{"q":' },
      { index: 0, args: '"one"}' },
      { index: 1, id: 'b', name: 'find', args: '{"q":"two"}' },
    ],
    TWO,
  ],
  [
    'whole, all with the index 0',
    [
      { index: 0, id: 'a', name: 'find', args: '{"q":"one"}' },
      { index: 0, id: 'b', name: 'find', args: '{"q":"two"}' },
    ],
    TWO,
  ],
  [
    'in pieces, all with the index 0',
    [
      { index: 0, id: 'a', name: 'find', args: '' },
      { index: 0, args: '{"q":"one"' },
      { index: 0, args: '}' },
      { index: 0, id: 'b', name: 'find', args: '' },
      { index: 0, args: '{"q":"two"}' },
    ],
    TWO,
  ],
  [
    'all with the index 0, without ids',
    [
      { index: 0, name: 'find', args: '{"q":' },
      { index: 0, args: '"one"}' },
      { index: 0, name: 'find', args: '' },
      { index: 0, args: '{"q":"two"}' },
    ],
    TWO,
  ],
  [
    'without an index',
    [{ id: 'a', name: 'find', args: '{"q":' }, { args: '"one"}' }, { id: 'b', name: 'find', args: '{"q":"two"}' }],
    TWO,
  ],
  [
    'without index and id, each whole',
    [
      { name: 'find', args: '{"q":"one"}' },
      { name: 'find', args: '{"q":"two"}' },
    ],
    TWO,
  ],
  [
    'without index and id, one without arguments',
    [
      { name: 'clock', args: '' },
      { name: 'find', args: '{"q":"one"}' },
    ],
    [['clock', {}], ONE[0]],
  ],
  [
    'with one id for both',
    [
      { index: 0, id: 'same', name: 'find', args: '{"q":"one"}' },
      { index: 1, id: 'same', name: 'find', args: '{"q":' },
      { index: 1, id: 'same', args: '"two"}' },
    ],
    TWO,
  ],
  [
    'with one id and one index for both',
    [
      { index: 0, id: 'same', name: 'find', args: '{"q":"one"}' },
      { index: 0, id: 'same', name: 'find', args: '{"q":"two"}' },
    ],
    TWO,
  ],
  [
    'side by side',
    [
      { index: 0, id: 'a', name: 'find', args: '{"q":' },
      { index: 1, id: 'b', name: 'find', args: '{"q":' },
      { index: 0, args: '"one"}' },
      { index: 1, args: '"two"}' },
    ],
    TWO,
  ],
  [
    'with the id and the name in every piece',
    [
      { index: 0, id: 'a', name: 'find', args: '{"q":' },
      { index: 0, id: 'a', name: 'find', args: '"one"' },
      { index: 0, id: 'a', name: 'find', args: '}' },
      { index: 0, id: 'a', name: 'find', args: '' },
    ],
    ONE,
  ],
  [
    'with a new id in every piece',
    [
      { index: 0, id: 'a', name: 'find', args: '{"q":' },
      { index: 0, id: 'b', args: '"one"' },
      { index: 0, id: 'c', args: '}' },
    ],
    ONE,
  ],
  [
    'with an index that counts pieces',
    [
      { index: 0, id: 'a', name: 'find', args: '{"q":' },
      { index: 1, id: 'a', args: '"one"}' },
    ],
    ONE,
  ],
  [
    'with the name in pieces',
    [
      { index: 0, id: 'a', name: 'fi' },
      { index: 0, name: 'nd' },
      { index: 0, args: '{"q":"one"}' },
    ],
    ONE,
  ],
  [
    'with all that came before in every piece',
    [
      { index: 0, id: 'a', name: 'find', args: '{"q"' },
      { index: 0, id: 'a', name: 'find', args: '{"q":"on' },
      { index: 0, id: 'a', name: 'find', args: '{"q":"one"}' },
    ],
    ONE,
  ],
  [
    'with all of it again at the end',
    [
      { index: 0, id: 'a', name: 'find', args: '{"q":' },
      { index: 0, args: '"one"}' },
      { index: 0, id: 'a', name: 'find', args: '{"q":"one"}' },
    ],
    ONE,
  ],
  [
    'after an empty object that stands for what comes',
    [
      { index: 0, id: 'a', name: 'find', args: '{}' },
      { index: 0, args: '{"q":' },
      { index: 0, args: '"one"}' },
      { index: 1, id: 'b', name: 'find', args: '{}' },
      { index: 1, args: '{"q":"two"}' },
    ],
    TWO,
  ],
  ['with arguments as an object', [{ index: 0, id: 'a', name: 'find', args: { q: 'one' } }], ONE],
  [
    'with text in text, and brackets in it',
    [
      { index: 0, id: 'a', name: 'find', args: '{"q":"a \\"}{\\\\' },
      { index: 0, args: '"}' },
      { index: 0, id: 'b', name: 'clock', args: '{}' },
    ],
    [
      ['find', { q: 'a "}{\\' }],
      ['clock', {}],
    ],
  ],
];

/** The calls that the pieces of a stream add up to. */
async function gather(pieces: Piece[], finish_reason = 'tool_calls') {
  const deltas = pieces.map(({ index, id, name, args }) => ({
    tool_calls: [{ index, id, type: 'function', function: { name, arguments: args } }],
  }));
  const values = [...deltas.map((delta) => ({ choices: [{ delta }] })), { choices: [{ delta: {}, finish_reason }] }];
  const body = values.map((value) => `data: ${JSON.stringify(value)}\n\n`).join('');
  fake.on(() => ({ status: 200, headers: { 'content-type': 'text/event-stream' }, body }));
  const { tool_calls = [] } = await ask(fake, 'openai', { fetch, tools, on_delta: () => {}, timeout_ms: 20_000 });
  return tool_calls;
}

test.each(STREAMED)('streamed calls are put together %s', async (_, pieces, calls) => {
  const gathered = await gather(pieces);
  expect(gathered.map((call) => [call.name, parseToolArguments(call.arguments)])).toEqual(calls);
  expect(new Set(gathered.map(({ id }) => id)).size).toBe(calls.length);
});

test('what only looks as if it were said again is not: arguments that are cut stay cut', async () => {
  const pieces = (...args: string[]) =>
    args.map((arg, at) => ({ index: 0, args: arg, ...(at === 0 && { name: 'find' }) }));
  const nested = await gather(pieces('{"a":', '{"a":1}', '}'));
  expect(nested[0]!.arguments).toBe('{"a":{"a":1}}');
  const cut = await gather(pieces('{"a":', '{"b":1}'), 'length');
  expect(cut[0]!.arguments).toBe('{"a":{"b":1}');
});

test('each of many pieces is looked at once', async () => {
  const pieces = Array.from({ length: 8_000 }, (_, at) => ({ index: at % 2, name: 'find', args: '{' }));
  expect(await gather(pieces)).toHaveLength(2);
});

test('whole calls: arguments as an object, ids that are numbers or missing, names that are equal', async () => {
  const called = (args: unknown, id?: unknown) => ({
    id,
    type: 'function',
    function: { name: 'find', arguments: args },
  });
  const message = { tool_calls: [called({ q: 'one' }, 7), called('{"q":"two"}'), called('{"q":', 7)] };
  fake.on(() => ({ status: 200, body: { choices: [{ message, finish_reason: 'tool_calls' }] } }));
  const { tool_calls = [] } = await ask(fake, 'openai', { fetch, tools });
  expect(tool_calls.map((call) => call.arguments)).toEqual(['{"q":"one"}', '{"q":"two"}', '{"q":']);
  expect(tool_calls[0]!.id).toBe('7');
  expect(new Set(tool_calls.map(({ id }) => id)).size).toBe(3);
});

test.each(['openai', 'anthropic', 'gemini'] as const)('%s: an id stands once in all turns', async (vendor) => {
  const long = 'x'.repeat(201);
  for (const id of ['same', long]) {
    fake.on(() => ({ call: [1, 2].map((q) => ({ id, name: 'find', arguments: { q } })) }));
    const first = await ask(fake, vendor, { fetch, tools });
    const results = [1, 2].map(() => ({ text: 'Found.', is_error: false }));
    const turns = [{ text: '', calls: first.tool_calls!, results }];
    const second = await ask(fake, vendor, { fetch, tools, turns });
    const ids = [...first.tool_calls!, ...second.tool_calls!].map((call) => call.id);
    expect(new Set(ids).size).toBe(4);
    expect(ids.filter((made) => !/^[a-zA-Z0-9]{9}$/.test(made))).toEqual(id === long ? [] : [id]);
  }
});
