import { expect, test } from 'vitest';
import { define, startSteps } from '../harness/orchestration.ts';
import { expectFault } from '../harness/problem.ts';
import { useStory } from '../harness/story.ts';

/** Runs that begin with more values than the message. */

const story = useStory();

const say = (print_content: string, more = {}) => ({
  id: 'say',
  type: 'print',
  print_content,
  output_key: 'said',
  ...more,
});
const state_schema = { topic: {}, tone: { default: 'dry' }, limits: { default: { words: 9 } }, unset: { default: 1 } };

test('values of every kind stand in the state, in place of defaults and of what the message is for', async () => {
  const initial_state = {
    topic: 'Wasps',
    limits: { words: 300, parts: ['a', null] },
    unset: null,
    seen: false,
    count: 0,
    text: '{"a": 1}',
    long: 'x'.repeat(100_000),
  };
  const steps = [
    say('{state.topic}, {state.tone}, {state.limits.words}, {state.text}, {state.user_input}'),
    { id: 'sum', type: 'transform', transform_code: 'state.count + state.limits.parts.length', output_key: 'sum' },
    { id: 'none', type: 'transform', transform_code: 'state.unset === null && !state.seen', output_key: 'none' },
  ];
  const { body } = await startSteps(story.user, steps, { message: 'Bees', initial_state }, { state_schema });
  expect(body).toMatchObject({ status: 'completed', warnings: [] });
  expect(body.shared_state).toMatchObject({
    ...initial_state,
    tone: 'dry',
    user_input: 'Bees',
    user_query: 'Bees',
    said: 'Wasps, dry, 300, {"a": 1}, Bees',
    sum: 2,
    none: true,
  });
  expect(await story.user.openRun(body.run_id).get()).toMatchObject({ task: 'Bees' });
});

test('a run that is tried again goes on with them, also with what was written over them', async () => {
  const steps = [
    { id: 'count', type: 'transform', transform_code: 'state.count + 1', output_key: 'count' },
    { id: 'ask', type: 'human', human_timeout_seconds: 1, output_key: 'ask' },
    say('{state.count} {state.tone} {state.user_input}'),
  ];
  const started = await startSteps(story.user, steps, { initial_state: { count: 4, tone: 'dry' } });
  const run = story.user.openRun(started.body.run_id);
  await run.until('failed');
  const path = `/orchestrations/runs/${run.run_id}`;
  expect((await story.user.post(`${path}/retry`, undefined)).body).toMatchObject({ status: 'paused' });
  expect((await story.user.post(`${path}/resume`, { response: 'Yes.' })).body).toMatchObject({
    status: 'completed',
    shared_state: { count: 5, tone: 'dry', said: '5 dry Hello' },
  });
});

const many = (count: number, value: unknown) =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, value]));

test.each<[string, unknown, string]>([
  ['the message', { user_input: 'x' }, '/initial_state/user_input'],
  ['what people answer', { human_response: {} }, '/initial_state/human_response'],
  ['a key of steps', { _if_decision_a: 'true' }, '/initial_state/_if_decision_a'],
  ['a key with a space', { 'a b': 1 }, '/initial_state/a b'],
  ['an empty key', { '': 1 }, '/initial_state/'],
  ['a list', [1], '/initial_state'],
  ['a text', 'tone', '/initial_state'],
  ['a value that is too long', { a: 1, b: 'x'.repeat(100_001) }, '/initial_state/b'],
  ['a list that is too long', { b: Array.from({ length: 60_000 }, () => 1) }, '/initial_state/b'],
  ['too much together', many(6, 'x'.repeat(90_000)), '/initial_state'],
  ['too many', many(101, 1), '/initial_state'],
  ['a text that cannot be kept', { a: { b: ['\u0000'] } }, '/initial_state/a/b/0'],
])('%s cannot be given: the field is named, and nothing is started', async (_, initial_state, pointer) => {
  const id = await define(story.user, [say('Hi')]);
  expectFault(await story.user.post(`/orchestrations/${id}/run`, { message: 'Go', initial_state }), pointer);
  expect((await story.user.get('/runs')).body.runs).toEqual([]);
});

test('null is as if it were not given', async () => {
  const { body } = await startSteps(story.user, [say('{state.tone}')], { initial_state: null }, { state_schema });
  expect(body.shared_state).toMatchObject({ said: 'dry', topic: 'Hello' });
});

test('members are counted before they are looked at, have names of their own, and finite numbers', async () => {
  const { user } = story;
  const id = await define(user, [say('Hello.')]);
  const start = (field: string, json: string) =>
    user.post(`/orchestrations/${id}/run`, `{"message": "Go.", "${field}": ${json}}`);
  const many = JSON.stringify(Object.fromEntries(Array.from({ length: 101 }, (_unused, n) => [`no key ${n}`, '\0'])));
  const counted = await start('initial_state', many);
  expect(counted.body.errors).toEqual([{ pointer: '/initial_state', detail: 'must have at most 100 members' }]);
  for (const field of ['initial_state', 'metadata']) {
    expectFault(await start(field, '{"__proto__": "x"}'), `/${field}/__proto__`);
  }
  expectFault(await start('initial_state', '{"a": [0, 1e400]}'), '/initial_state/a/1');
  const edits = `{"from_task": "say", "edits": {"__proto__": {"x": 1}}}`;
  const run = await start('initial_state', '{}');
  expectFault(await user.post(`/runs/${run.body.run_id}/rerun`, edits), '/edits/__proto__');
});
