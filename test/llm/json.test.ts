import { expect, test } from 'vitest';
import { jsonValues } from '../../src/llm/index.ts';

test.each<[string, string, unknown]>([
  ['bare JSON', ' {"a": [1, "}"]} ', { a: [1, '}'] }],
  ['a bare array', '[1, 2]', [1, 2]],
  ['a bare string', '"text"', 'text'],
  ['a fenced block', 'Sure!\n```json\n{"a": 1}\n```\nDone.', { a: 1 }],
  ['a fence without a language', '```\n[1]\n```', [1]],
  ['a fence that is never closed', '```json\n{"a": 1}\n', { a: 1 }],
  ['the fence that is JSON', '```sh\nls {a}\n```\n```json\n{"a": 2}\n```', { a: 2 }],
  ['an object in prose', 'The plan is {"a": {"b": "}\\"{"}} as asked.', { a: { b: '}"{' } }],
  ['an array in prose', 'Here: ["x", ["y"]]. More [text].', ['x', ['y']]],
  ['prose with brackets before it', 'I used {curly} and [1, then: {"a": 1}', { a: 1 }],
  ['prose with a quote after a bracket', 'I begin with {" and then {"a": "b"}', { a: 'b' }],
  ['prose with quotes in brackets', 'As in ["Figure 1] and {"x, y}: {"a": ["b"]}. "Done".', { a: ['b'] }],
  ['a fence inside a string', '{"code": "```js\\nx\\n```"}', { code: '```js\nx\n```' }],
  ['windows line ends', '```json\r\n{"a":\r\n1}\r\n```', { a: 1 }],
  ['a value inside one that is none', 'So {note: {"a": 1}} it is.', { a: 1 }],
  ['a byte order mark', '\ufeff{"a": 1}', { a: 1 }],
  ['thoughts with an example', '<think>The form is {"a": 0}.</think>\n{"a": 1}', { a: 1 }],
  ['thoughts without their beginning', 'The form is {"a": 0}, so\n</think>\n\n{"a": 1}', { a: 1 }],
  ['thoughts after it', '{"a": 1}\n<reasoning>Not {"a": 0}, I hope.</reasoning>', { a: 1 }],
  ['thoughts that are never ended', '{"a": 1} <think>or {"a": 0}', { a: 1 }],
  ['a quoted mark before it', 'Here is the plan for the article on `<think>` tags:\n{"a": 1}', { a: 1 }],
  ['a quoted mark after it', '{"a": 1}\n\nThis covers how `</think>` is parsed.', { a: 1 }],
  ['a mark that is spoken of', 'Use <reasoning> here: {"a": 1}', { a: 1 }],
  ['thoughts in the marks of Magistral', '[THINK]Say {"a": 0}.[/THINK]{"a": 1}', { a: 1 }],
  ['thoughts with half a value', '<think>{"a": "</think>{"a": 1}', { a: 1 }],
  ['a string that speaks of thoughts', 'It is {"a": "<think>x</think>"}.', { a: '<think>x</think>' }],
  ['a comma too many', '{"a": [1, 2,], }', { a: [1, 2] }],
  ['comments', '{\n  // the first\n  "a": 1, // "one"\n}', { a: 1 }],
  ['line breaks in a string', '{"a": "one\ntwo\tthree"}', { a: 'one\ntwo\tthree' }],
  [
    'backslashes that escape nothing',
    String.raw`{"a": "C:\data \_x\_ \\n \"q\" \u00e9"}`,
    { a: 'C:\\data \\_x\\_ \\n "q" é' },
  ],
  ["Python's words", '{"a": True, "b": [False, None]}', { a: true, b: [false, null] }],
])('%s', (_, text, value) => {
  expect(jsonValues(text)).toEqual([value]);
});

test.each<[string, string, unknown[]]>([
  ['in prose', 'First [1], then {"a": {"b": 2}} and {"c": 3}.', [[1], { a: { b: 2 } }, { c: 3 }]],
  ['one after another', '{"a": 1}\n{"a": 2}', [{ a: 1 }, { a: 2 }]],
  ['in fences', '```json\n{"a": 1}\n```\nor\n```json\n{"a": 2}\n```', [{ a: 1 }, { a: 2 }]],
  ['within what is none', '[{"a": 1}, {"b": 2}, oops]', [{ a: 1 }, { b: 2 }]],
])('all values %s are found, in their order', (_, text, values) => {
  expect(jsonValues(text)).toEqual(values);
});

test.each([
  '',
  '  \n',
  'no json here',
  '{"a": ',
  '{"a": 1',
  "{'a': 1}",
  '{a: 1}',
  '}{',
  '{]}',
  '"',
  '```json\n{"a":\n```',
  '[,]',
  '{"a" 1}',
  '{"a": 1 "b": 2}',
  '{"a":}',
  '[01]',
  // A part of a value that was cut off is not what the model has said.
  '{"tasks": [{"a": 1}, {"b": 2}, {"c',
  '{"verdict": {"passed": true}, "why": "It says {\\"passed\\": true} and',
  '<think>{"a": 1}',
  '<think>{"a": 1}</think>',
  'It is {"a": 1}.</think>',
])('no JSON in %j', (text) => {
  expect(jsonValues(text)).toEqual([]);
});

test('keys named __proto__ are dropped at every depth, and pollute nothing', () => {
  const text = '{"__proto__": {"bad": 1}, "a": {"__proto__": {"bad": 1}, "b": 2}}';
  const [value, inProse] = [text, `So: ${text}`].map((said) => jsonValues(said)[0] as Record<string, any>);
  expect(inProse).toEqual(value);
  expect(Object.assign({}, value, value!.a).bad).toBeUndefined();
  expect(Object.getOwnPropertyNames(value!)).toEqual(['a']);
  expect(value!.a).toEqual({ b: 2 });
  expect(({} as Record<string, unknown>).bad).toBeUndefined();
});

test.each<[string, string, number]>([
  ['open brackets', '['.repeat(1_000_000), 0],
  ['open brackets and quotes', '["'.repeat(500_000), 0],
  ['closed pairs that are not JSON', '{x}'.repeat(300_000), 0],
  ['pairs that are JSON, in a list that is none', `[${'{},'.repeat(300_000)}x`, 300_000],
  ['open fences', '```json\n'.repeat(100_000), 0],
  ['an open string', `{"a": "${'\\"'.repeat(500_000)}`, 0],
  ['strings that end in the middle of prose', '{"x, '.repeat(200_000), 0],
  ['comments without an end', '[//'.repeat(300_000), 0],
  ['comments', `[//${'[//'.repeat(300_000)}\nx`, 0],
  ['thoughts that are begun', '<think>'.repeat(150_000), 0],
  ['thoughts that are begun in prose', `So ${'<think>'.repeat(150_000)}`, 0],
  ['thoughts', '<think>{}</think>'.repeat(60_000), 0],
  ['digits', `[${'1'.repeat(1_000_000)}x`, 0],
])('a million characters of %s are read before the test gives up', (_, text, count) => {
  expect(jsonValues(text)).toHaveLength(count);
});

test('what is nested too deep to be read is no crash', () => {
  const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
  for (const text of [deep, `text ${deep}`]) expect(jsonValues(text).length).toBeLessThan(2);
});

test('strings lose what Postgres cannot store: NUL and halves of surrogate pairs', () => {
  const text = '{"a": ["x\\u0000y", "\\ud83d", "\\ud83d\\ude00"]}';
  for (const said of [text, `So: ${text}`]) expect(jsonValues(said)).toEqual([{ a: ['xy', '\ufffd', '😀'] }]);
});
