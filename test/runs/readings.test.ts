import { expect, test } from 'vitest';
import { chooseRouteAnswer, findRoute } from '../../activities/prompts/choose-route.ts';
import { evaluateTaskAnswer } from '../../activities/prompts/evaluate-task.ts';
import { splitTasksAnswer } from '../../activities/prompts/split-tasks.ts';

/** Verdicts, plans and choices are read by their plain meaning: the one on which all who read them would agree. */

const reason = 'The evaluation gives no reason.';

test.each<[unknown, { passed: boolean; score?: number; feedback: string }]>([
  [
    { passed: false, score: 0.2, feedback: 'Thin.' },
    { passed: false, score: 0.2, feedback: 'Thin.' },
  ],
  [
    { passed: false, score: 3, feedback: 'Thin.' },
    { passed: false, feedback: 'Thin.' },
  ],
  [
    { passed: false, score: -1, feedback: 'Thin.' },
    { passed: false, feedback: 'Thin.' },
  ],
  [
    { passed: false, score: '0.2', feedback: 'Thin.' },
    { passed: false, score: 0.2, feedback: 'Thin.' },
  ],
  [
    { passed: false, score: '0,2', feedback: 'Thin.' },
    { passed: false, score: 0.2, feedback: 'Thin.' },
  ],
  [
    { passed: false, score: '20%', feedback: 'Thin.' },
    { passed: false, score: 0.2, feedback: 'Thin.' },
  ],
  [
    { passed: false, score: '2/10', feedback: 'Thin.' },
    { passed: false, score: 0.2, feedback: 'Thin.' },
  ],
  [
    { passed: false, score: 'low', feedback: 'Thin.' },
    { passed: false, feedback: 'Thin.' },
  ],
  [
    { passed: false, score: null, feedback: null },
    { passed: false, feedback: reason },
  ],
  [{ passed: false }, { passed: false, feedback: reason }],
  [
    { passed: 'yes', verdict: 'fail' },
    { passed: false, feedback: reason },
  ],
  [{ passed: true }, { passed: true, feedback: reason }],
  [
    { passed: false, feedback: ['No sources.', 'Too short.'] },
    { passed: false, feedback: 'No sources.\nToo short.' },
  ],
  [
    { passed: false, feedback: { sources: 'None.' } },
    { passed: false, feedback: 'sources: None.' },
  ],
  [
    { passed: false, reason: 'Thin.' },
    { passed: false, feedback: 'Thin.' },
  ],
  [
    { Passed: 'No', Feedback: 'Thin.', extra: [1] },
    { passed: false, feedback: 'Thin.' },
  ],
  [
    { passed: false, feedback: 'x'.repeat(5_000) },
    { passed: false, feedback: `${'x'.repeat(3_999)}…` },
  ],
  ...[
    'false',
    'False',
    'FALSE.',
    'no',
    'No',
    'fail',
    'failed',
    'not passed',
    'not_passed',
    0,
    '0',
    'nein',
    'non',
    'нет',
    '否',
    'いいえ',
  ].map((passed): [unknown, { passed: boolean; feedback: string }] => [
    { passed },
    { passed: false, feedback: reason },
  ]),
  ...['true', 'True', 'yes', 'PASS', 'passed', 1, '1', 'ja', 'sí', 'oui', 'да', '是', 'はい'].map(
    (passed): [unknown, { passed: boolean; feedback: string }] => [{ passed }, { passed: true, feedback: reason }],
  ),
])('the verdict %j is plain', (said, verdict) => {
  expect(evaluateTaskAnswer.parse(said)).toEqual({ score: undefined, ...verdict });
});

test.each([
  {},
  [],
  [true],
  'passed',
  null,
  { passed: null },
  { passed: 'perhaps' },
  { passed: 'partly' },
  { passed: 0.5 },
  { passed: 2 },
  { passed: [] },
  { passed: '' },
  { score: 0.9, feedback: 'Good.' },
])('no verdict is plain in %j', (said) => {
  expect(evaluateTaskAnswer.safeParse(said).success).toBe(false);
});

const planned = ['Look', 'Weigh', 'Tell'].map((title) => ({ title, description: `${title} well.`, agent: null }));
const [look, weigh, tell] = planned as [(typeof planned)[0], (typeof planned)[0], (typeof planned)[0]];
const bare = planned.map(({ title, description }) => ({ title, description }));

test.each<[string, unknown]>([
  ['as it was asked for', { tasks: planned }],
  ['without agents', { tasks: bare }],
  ['as a list', planned],
  ['under another name', { plan: planned }],
  ['under another name beside a text', { goal: 'Sell.', 'Sub tasks': planned }],
  ['under a name of its own', { schritte: planned, goal: 'Sell.' }],
  ['inside another object', { goal: 'Sell.', plan: { tasks: planned } }],
  ['as an object with a member each', { tasks: { T1: look, T2: weigh, T3: tell } }],
  ['as such an object alone', { T1: look, T2: weigh, T3: tell }],
  ['with other names', { tasks: bare.map(({ title, description }) => ({ Name: title, details: description })) }],
  ['with more fields', { tasks: planned.map((task, index) => ({ id: index, ...task, depends_on: null })) }],
  ['with lists for texts', { tasks: planned.map((task) => ({ ...task, description: [task.description] })) }],
  ['with a task twice', { tasks: [look, weigh, weigh, tell, look] }],
])('a plan %s', (_, said) => {
  expect(splitTasksAnswer.parse(said)).toMatchObject({ tasks: planned });
});

test.each<[unknown, unknown]>([
  ['Look', { title: 'Look', description: 'Look', agent: null }],
  [{ title: 'Look' }, { title: 'Look', description: 'Look', agent: null }],
  [
    { title: 'Look', description: null },
    { title: 'Look', description: 'Look', agent: null },
  ],
  [
    { description: 'Look well.\nThen tell.' },
    { title: 'Look well.', description: 'Look well.\nThen tell.', agent: null },
  ],
  [
    { title: 5, description: 6 },
    { title: '5', description: '6', agent: null },
  ],
  [
    { title: 'Look', agent: ['writer', 'editor'] },
    { title: 'Look', description: 'Look', agent: 'writer' },
  ],
  [
    { title: 'Look', agent: { name: 'writer' } },
    { title: 'Look', description: 'Look', agent: 'writer' },
  ],
  [
    { title: 'Look', agent: [] },
    { title: 'Look', description: 'Look', agent: null },
  ],
  [
    { title: 'Look', agent: 'x'.repeat(9_000) },
    { title: 'Look', description: 'Look', agent: `${'x'.repeat(99)}…` },
  ],
  [{ title: '😀'.repeat(99) }, { title: `${'😀'.repeat(59)}…`, description: '😀'.repeat(99), agent: null }],
  [
    { title: 'Look', description: 'x'.repeat(5_000) },
    { title: 'Look', description: `${'x'.repeat(4_000)}\n[… 1000 characters left out]`, agent: null },
  ],
])('the planned task %j is plain', (said, task) => {
  expect(splitTasksAnswer.parse({ tasks: [said] })).toMatchObject({ tasks: [task] });
});

test('two tasks with one title are two when they differ in anything', () => {
  const tasks = [look, { ...look, agent: 'writer' }, { ...look, description: 'Look again.' }];
  expect(splitTasksAnswer.parse({ tasks })).toMatchObject({ tasks });
});

test.each([
  {},
  [],
  [1],
  ['Look', 'Weigh'],
  { tasks: 'Look, weigh, tell' },
  { tasks: [1, 2, 3] },
  { tasks: [look, { agent: 'writer' }] },
  { tasks: [look, null] },
  { one: [look], two: [weigh] },
  { sources: ['Look', 'Weigh', 'Tell'] },
  look,
])('no plan is plain in %j', (said) => {
  expect(splitTasksAnswer.safeParse(said).success).toBe(false);
});

test.each<[unknown, string | undefined]>([
  [{ route: 'billing', reasoning: 'x' }, 'billing'],
  [{ route: ' Billing. ' }, 'billing'],
  [{ route: 'billing: Questions about money' }, 'billing'],
  [{ Route: ['billing'], why: 1 }, 'billing'],
  [{ route: { label: 'billing' } }, 'billing'],
  [{ route: 'Support' }, undefined],
  [{ route: 'SUPPORT' }, 'SUPPORT'],
  [{ route: 'billing or sales' }, undefined],
  [{ route: '' }, undefined],
  [{ route: null }, undefined],
  [{ reasoning: 'billing' }, undefined],
])('of %j, the route is %s', (said, label) => {
  const read = chooseRouteAnswer.safeParse(said);
  expect(read.success ? findRoute(['billing', 'sales', 'SUPPORT', 'support'], read.data.route) : undefined).toBe(label);
});
