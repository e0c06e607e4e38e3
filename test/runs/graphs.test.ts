import { expect, test } from 'vitest';
import { graphOf } from '../../activities/dependencies.ts';
import { inferDepsAnswer } from '../../activities/prompts/infer-deps.ts';

/** Dependencies are read by their plain meaning, whichever words a model has for a task. */

const titles = ['Research the market', 'Step 1', 'Write, then check', 'Twice', 'Twice', 'Räume prüfen', '調査'];
const tasks = titles.map((title, index) => ({ id: `T${index + 2}`, title }));

function graphIn(said: unknown) {
  const read = inferDepsAnswer.safeParse(said);
  if (!read.success) return undefined;
  const graph = graphOf(tasks, read.data.dependencies);
  if ('fault' in graph) return graph.fault;
  return Object.fromEntries(graph.value.flatMap(({ id, depends_on }) => (depends_on.length ? [[id, depends_on]] : [])));
}

/** Of T4. */
test.each<[unknown, string[]]>([
  [['T2'], ['T2']],
  [
    ['t2', ' T3 '],
    ['T2', 'T3'],
  ],
  [[2], ['T2']],
  [
    ['2', '#3'],
    ['T2', 'T3'],
  ],
  [
    ['Task 2', 'task_3'],
    ['T2', 'T3'],
  ],
  [
    ['Aufgabe 2', '任务3', 'Tâche 5'],
    ['T2', 'T3', 'T5'],
  ],
  [['T2: Research the market'], ['T2']],
  [['Research the market (T2)'], ['T2']],
  [['research  the Market.'], ['T2']],
  [['Step 1'], ['T3']],
  [
    ['RÄUME PRÜFEN', '調査'],
    ['T7', 'T8'],
  ],
  ['T2', ['T2']],
  ['T2, T3', ['T2', 'T3']],
  ['T2 and T3', ['T2', 'T3']],
  ['T2、T3', ['T2', 'T3']],
  ['Research the market, Step 1', ['T2', 'T3']],
  [2, ['T2']],
  [[{ id: 'T2' }], ['T2']],
  [
    [{ task_id: 'T2', why: 'x' }, { title: 'Step 1' }],
    ['T2', 'T3'],
  ],
  [['T2', 'T2', 't2'], ['T2']],
  [['T2', 'T4'], ['T2']],
  [['T2', null, ''], ['T2']],
  [null, []],
  ['', []],
  ['none', []],
  [['None'], []],
  [[], []],
])('%j are the dependencies of a task', (depends_on, ids) => {
  const graph = ids.length ? { T4: ids } : {};
  expect(graphIn({ dependencies: [{ task_id: 'T4', depends_on }] })).toEqual(graph);
  expect(graphIn({ dependencies: { T4: depends_on } })).toEqual(graph);
});

test.each<[string, unknown]>([
  ['as it was asked for', { dependencies: [{ task_id: 'T4', depends_on: ['T2', 'T3'] }] }],
  ['as a list', [{ task_id: 'T4', depends_on: ['T2', 'T3'] }]],
  ['as an object', { T2: [], T3: null, T4: ['T2', 'T3'] }],
  ['by numbers', { 2: [], 4: [2, 3] }],
  ['by titles', { dependencies: { 'Write, then check': ['Research the market', 'Step 1'] } }],
  ['with other names', { tasks: [{ id: 'T4', dependsOn: ['T2', 'T3'] }] }],
  ['with members for each', { T2: { depends_on: null }, T4: { needs: ['T2', 'T3'] } }],
  ['with an entry that says nothing', { dependencies: [{ task_id: 'T2' }, { task_id: 'T4', depends_on: 'T2, T3' }] }],
  [
    'with an entry for each',
    {
      dependencies: [
        { task_id: 'T4', depends_on: 'T2' },
        { task_id: 'T4', depends_on: 'T3' },
      ],
    },
  ],
])('a graph %s', (_, said) => {
  expect(graphIn(said)).toEqual({ T4: ['T2', 'T3'] });
});

test('no dependencies at all are a graph', () => {
  for (const dependencies of [[], {}, null]) expect(graphIn({ dependencies })).toEqual({});
});

test.each<[unknown, string]>([
  [['T1'], 'Task T4 depends on "T1", which is not a task.'],
  [['T9'], '"T9", which is not a task'],
  [[0], '"0", which is not a task'],
  [[-2], '"-2", which is not a task'],
  [['Twice'], '"Twice", which is not a task'],
  [['the research'], '"the research", which is not a task'],
  ['all of them', '"all of them", which is not a task'],
  [['x'.repeat(9_000)], `"${'x'.repeat(40)}", which is not a task`],
])('what %j means cannot be told', (depends_on, fault) => {
  expect(graphIn({ dependencies: [{ task_id: 'T4', depends_on }] })).toContain(fault);
});

test.each([
  {},
  [],
  [1],
  ['T2'],
  'none',
  { tasks: [{ id: 'T2', title: 'Research the market' }] },
  { T2: { title: 'Research the market' } },
  { dependencies: [['T2', 'T3']] },
  { dependencies: [{ from: 'T2', to: 'T3' }] },
])('no graph is plain in %j', (said) => {
  expect(graphIn(said)).toBeUndefined();
});

test('a circle is a fault, also of tasks that are named by their titles', () => {
  expect(graphIn({ T2: ['Step 1'], T3: ['Research the market'] })).toBe('The dependencies form a cycle.');
});
