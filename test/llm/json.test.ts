import { expect, test } from 'vitest';
import { parseJsonAnswer } from '../../src/llm/index.ts';

test.each<[string, string, unknown]>([
  ['bare JSON', ' {"a": [1, "}"]} ', { a: [1, '}'] }],
  ['a bare array', '[1, 2]', [1, 2]],
  ['a bare string', '"text"', 'text'],
  ['a fenced block', 'Sure!\n```json\n{"a": 1}\n```\nDone.', { a: 1 }],
  ['a fence without a language', '```\n[1]\n```', [1]],
  ['the first fence that is JSON', '```sh\nls {a}\n```\n```json\n{"a": 2}\n```', { a: 2 }],
  ['an object in prose', 'The plan is {"a": {"b": "}\\"{"}} as asked.', { a: { b: '}"{' } }],
  ['an array in prose', 'Here: ["x", ["y"]]. More [text].', ['x', ['y']]],
  ['prose with brackets before it', 'I used {curly} and [1, then: {"a": 1}', { a: 1 }],
  ['a fence inside a string', '{"code": "```js\\nx\\n```"}', { code: '```js\nx\n```' }],
  ['windows line ends', '```json\r\n{"a":\r\n1}\r\n```', { a: 1 }],
])('%s', (_, text, value) => {
  expect(parseJsonAnswer(text)).toEqual(value);
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
])('no JSON in %j', (text) => {
  expect(() => parseJsonAnswer(text)).toThrow(SyntaxError);
  expect(() => parseJsonAnswer(text)).toThrow(/^The answer is (empty|not valid JSON)/);
});

test('keys named __proto__ are dropped at every depth, and pollute nothing', () => {
  const value = parseJsonAnswer('{"__proto__": {"bad": 1}, "a": {"__proto__": {"bad": 1}, "b": 2}}') as Record<
    string,
    any
  >;
  expect(Object.assign({}, value, value.a).bad).toBeUndefined();
  expect(Object.getOwnPropertyNames(value)).toEqual(['a']);
  expect(value.a).toEqual({ b: 2 });
  expect(({} as Record<string, unknown>).bad).toBeUndefined();
});

test.each([
  ['open brackets', '['.repeat(1_000_000)],
  ['closed pairs that are not JSON', '{x}'.repeat(300_000)],
  ['open fences', '```json\n'.repeat(100_000)],
  ['an open string', `{"a": "${'\\"'.repeat(500_000)}`],
])('a million characters of %s are refused before the test gives up', (_, text) => {
  expect(() => parseJsonAnswer(text)).toThrow(SyntaxError);
});

test('JSON that is nested too deep for the parser is no crash', () => {
  const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
  try {
    parseJsonAnswer(`text ${deep}`);
  } catch (error) {
    expect(error).toBeInstanceOf(SyntaxError);
  }
});

test('strings lose what Postgres cannot store: NUL and halves of surrogate pairs', () => {
  expect(parseJsonAnswer('{"a": ["x\\u0000y", "\\ud83d", "\\ud83d\\ude00"]}')).toEqual({ a: ['xy', '\ufffd', '😀'] });
});
