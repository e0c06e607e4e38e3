import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startOrchflow, type Orchflow, type User } from '../harness/orchflow.ts';
import { countRows } from '../harness/rows.ts';

/** Definitions: kept, checked whole, and each account's own. */

let orchflow: Orchflow;
let user: User;
beforeAll(async () => {
  orchflow = await startOrchflow({ worker: false });
});
afterAll(() => orchflow.stop());
beforeEach(async () => {
  user = await orchflow.register();
});

const steps = {
  ask: { id: 'ask', name: 'Ask', type: 'llm', output_key: 'answer', next_step_id: 'check' },
  check: { id: 'check', name: 'Check', type: 'if_else', if_condition: 'state.answer', if_true_step_id: 'done' },
  done: { id: 'done', name: 'Done', type: 'end' },
};

const define = (...given: object[]) => ({ name: 'Mine', entry_step_id: 'ask', steps: given });
const sound = define(steps.ask, steps.check, steps.done);

test('the shipped orchestrations are there for everyone, as the page shows them', async () => {
  const { status, body } = await user.get('/orchestrations');
  expect(status).toBe(200);
  expect(body[0]).toEqual({
    id: 'orch-research-report',
    name: 'Research → Report',
    description: 'Research a topic and generate a report',
    steps: 5,
  });
  expect(body).toHaveLength(3);
  const one = (await user.get('/orchestrations/orch-research-report')).body;
  expect(one.steps[1]).toMatchObject({
    id: 'step-write',
    label: 'Write',
    type: 'agent',
    agent_id: 'writer',
    depends_on: ['step-research', 'step-decide'],
  });
  for (const { id } of body) {
    const whole = (await user.get(`/orchestrations/${id}`)).body;
    expect((await user.post('/orchestrations/validate', whole)).body).toEqual({ valid: true, errors: [] });
  }
});

test('an orchestration is created, read, replaced by what was read, and deleted; other accounts do not see it', async () => {
  const created = await user.post('/orchestrations', { id: 'mine', ...sound });
  expect(created).toMatchObject({ status: 201, body: { id: 'mine', is_shipped: false, max_total_turns: 100 } });
  expect(created.headers.get('location')).toBe('/api/v1/orchestrations/mine');
  const read = (await user.get('/orchestrations/mine')).body;
  expect(read).toEqual(created.body);
  expect(read.steps[0]).toMatchObject({ timeout_seconds: 300, max_iterations: 3, input_keys: [] });
  expect((await user.get('/orchestrations')).body.at(-1)).toEqual({
    id: 'mine',
    name: 'Mine',
    description: '',
    steps: 3,
  });

  const same = await user.put('/orchestrations/mine', read);
  expect(same).toMatchObject({ status: 200, body: { hash: read.hash } });
  const changed = await user.put('/orchestrations/mine', { ...read, description: 'Changed.' });
  expect(changed.body.hash).not.toBe(read.hash);

  const other = await orchflow.register();
  expect(await other.get('/orchestrations/mine')).toMatchObject({ status: 404 });
  expect(await other.put('/orchestrations/mine', read)).toMatchObject({ status: 404 });
  expect(await other.delete('/orchestrations/mine')).toMatchObject({ status: 404 });
  expect(await other.post('/orchestrations', { id: 'mine', ...sound })).toMatchObject({ status: 201 });

  expect(await user.delete('/orchestrations/mine')).toMatchObject({ status: 200 });
  expect(await user.get('/orchestrations/mine')).toMatchObject({ status: 404 });
});

test('an id is taken once, is made up when none is given, and a shipped orchestration cannot be changed', async () => {
  expect((await user.post('/orchestrations', sound)).body.id).toMatch(/^orch_\w{20}$/);
  await user.post('/orchestrations', { id: 'mine', ...sound });
  const conflict = { status: 409, body: { code: 'ORCHESTRATION_EXISTS' } };
  expect(await user.post('/orchestrations', { id: 'mine', ...sound })).toMatchObject(conflict);
  expect(await user.post('/orchestrations', { id: 'orch-research-report', ...sound })).toMatchObject(conflict);
  const shipped = { status: 409, body: { code: 'ORCHESTRATION_SHIPPED' } };
  expect(await user.put('/orchestrations/orch-research-report', sound)).toMatchObject(shipped);
  expect(await user.delete('/orchestrations/orch-research-report')).toMatchObject(shipped);
});

test('the order of the state schema is kept: the message goes to its first key', async () => {
  const state_schema = { zebra: { type: 'string' }, apple: { type: 'string' }, b2: {} };
  await user.post('/orchestrations', { id: 'mine', ...sound, state_schema });
  const { body } = await user.get('/orchestrations/mine');
  expect(Object.keys(body.state_schema)).toEqual(['zebra', 'apple', 'b2']);
});

test('a state begins with 200 keys at most', async () => {
  const keys = (count: number) => Object.fromEntries(Array.from({ length: count }, (_unused, n) => [`key${n}`, {}]));
  expect(await user.post('/orchestrations', { ...sound, state_schema: keys(200) })).toMatchObject({ status: 201 });
  const { status, body } = await user.post('/orchestrations', { ...sound, state_schema: keys(201) });
  expect(status).toBe(422);
  expect(body.errors).toEqual([{ detail: 'must have at most 200 members', pointer: '/state_schema' }]);
});

test('an export of another server, with all fields of all types as null, is taken', async () => {
  const nulls = { agent_id: null, route_map: null, human_fields: null, loop_count: null, position_x: 1, label: 'x' };
  const definition = define(...sound.steps.map((step) => ({ ...nulls, ...step })));
  expect(await user.post('/orchestrations', { ...definition, trigger: 'manual' })).toMatchObject({ status: 201 });
});

const llm = (id: string, next_step_id: string | null = null) => ({ id, name: id, type: 'llm', next_step_id });
const parallel = (parallel_branches: string[][], next_step_id: string | null = null) => ({
  id: 'ask',
  name: 'ask',
  type: 'parallel',
  parallel_branches,
  next_step_id,
});

test.each([
  ['no entry', { ...sound, entry_step_id: 'x' }, '/entry_step_id', '"x" is not a step'],
  ['a target that is none', define({ ...steps.ask, next_step_id: 'x' }), '/steps/0/next_step_id', '"ask": "x" is not'],
  ['the same id twice', define(llm('ask'), llm('ask')), '/steps/1/id', 'another step has this id'],
  ['a step that is never reached', define(llm('ask'), llm('b')), '/steps/1', '"b": is never reached'],
  ['a cycle without end', define(llm('ask', 'b'), llm('b', 'ask')), '/steps/0/next_step_id', 'nothing leads out'],
  ['a step after itself', define(llm('ask', 'ask')), '/steps/0/next_step_id', 'leads to itself'],
  ['an unknown input', define({ ...llm('ask'), input_keys: ['x'] }), '/steps/0/input_keys/0', 'nothing writes "x"'],
  ['a merge of nothing', define({ ...llm('ask'), type: 'merge' }), '/steps/0/input_keys', 'nothing to merge'],
  [
    'a merge in an unknown way',
    define({ ...llm('ask'), type: 'merge', merge_strategy: 'zip', input_keys: ['user_input'] }),
    '/steps/0/merge_strategy',
    'must be one of list, concat, dict',
  ],
  [
    'an evaluator without routes',
    define({ ...llm('ask'), type: 'evaluator', route_map: {} }),
    '/steps/0/route_map',
    'no routes',
  ],
  [
    'a description of no route',
    define({ ...llm('ask'), type: 'evaluator', route_map: { a: null }, route_descriptions: { b: 'x' } }),
    '/steps/0/route_descriptions/b',
    'describes no route',
  ],
  [
    'a loop of nothing',
    define({ ...llm('ask'), type: 'loop', loop_step_ids: [] }),
    '/steps/0/loop_step_ids',
    'no steps',
  ],
  [
    'a loop of itself',
    define({ ...llm('ask'), type: 'loop', loop_step_ids: ['ask'] }),
    '/steps/0/loop_step_ids/0',
    'leads back to this step',
  ],
  ['a parallel step without branches', define(parallel([])), '/steps/0/parallel_branches', 'no branches'],
  [
    'a branch that is the join',
    define(parallel([['b']], 'b'), llm('b')),
    '/steps/0/parallel_branches/0',
    'begins with the join',
  ],
  ['an empty branch', define(parallel([[]])), '/steps/0/parallel_branches/0', 'without steps'],
  [
    'branches that share a step',
    define(parallel([['b'], ['c']], 'j'), llm('b', 'd'), llm('c', 'd'), llm('d', 'j'), llm('j')),
    '/steps/0/parallel_branches/1',
    'shares "d" with another branch',
  ],
  [
    'an end inside a branch',
    define(parallel([['b']]), llm('b', 'c'), { ...llm('c'), type: 'end' }),
    '/steps/0/parallel_branches/0',
    'an end cannot be inside',
  ],
  [
    'an empty condition',
    define({ ...llm('ask'), type: 'if_else', if_condition: ' ' }),
    '/steps/0/if_condition',
    'is empty',
  ],
  [
    'a condition that does not parse',
    define({ ...llm('ask'), type: 'if_else', if_condition: 'state. > 1' }),
    '/steps/0/if_condition',
    'SyntaxError',
  ],
  [
    'code that does not parse',
    define({ ...llm('ask'), type: 'transform', transform_code: 'return }' }),
    '/steps/0/transform_code',
    'SyntaxError',
  ],
  [
    'a switch without cases',
    define({ ...llm('ask'), type: 'switch', switch_expression: '1' }),
    '/steps/0/switch_cases',
    'no cases',
  ],
  [
    'an unknown agent',
    define({ ...llm('ask'), type: 'agent', agent_id: 'x' }),
    '/steps/0/agent_id',
    'not a built-in agent',
  ],
  [
    'a select without options',
    define({ ...llm('ask'), type: 'human', human_fields: [{ name: 'a', type: 'select' }] }),
    '/steps/0/human_fields/0/options',
    'needs options',
  ],
  ...(
    [
      [{ type: 'multi_select' }, 'options', 'a multi_select needs options'],
      [{ type: 'number', min: 3, max: 2 }, 'min', 'must be at most max, 2'],
      [{ type: 'integer', min: 1.2, max: 1.8 }, 'min', 'no whole number is between 1.2 and 1.8'],
      [{ type: 'text', max: 5 }, 'max', 'bounds no text'],
      [{ type: 'date', min_length: 5 }, 'min_length', 'bounds no date'],
      [{ type: 'textarea', max_length: 0 }, 'max_length', 'must be more than 0'],
      [{ type: 'textarea', max_length: 100_001 }, 'max_length', 'must be at most 100000'],
      [
        { type: 'multi_select', options: 'a,b,B', min_items: 3 },
        'min_items',
        'must be at most 2, the number of different options',
      ],
      [{ type: 'multi_select', options: 'a,b', min_items: 0.5 }, 'min_items', 'must be a whole number'],
    ] as const
  ).map(([field, member, detail]): [string, object, string, string] => [
    `a field: ${detail}`,
    define({ ...llm('ask'), type: 'human', human_fields: [{ name: 'a', ...field }] }),
    `/steps/0/human_fields/0/${member}`,
    detail,
  ]),
  ['an unknown type', define({ ...llm('ask'), type: 'dance' }), '/steps/0/type', ''],
  [
    'a field of another type of step',
    define({ ...llm('ask'), loop_count: 2 }),
    '/steps/0/loop_count',
    'is not a field',
  ],
  ['an output key that runs write themselves', define({ ...llm('ask'), output_key: '_x' }), '/steps/0/output_key', ''],
])(
  'a definition with %s is refused, naming step and field, and nothing is kept',
  async (_name, definition, pointer, detail) => {
    const before = await countRows(orchflow.db);
    const { status, body } = await user.post('/orchestrations', definition);
    expect(status).toBe(422);
    expect(body.errors).toEqual([{ pointer, detail: expect.stringContaining(detail) }]);
    expect((await user.post('/orchestrations/validate', definition)).body).toEqual({
      valid: false,
      errors: body.errors,
    });
    expect(await countRows(orchflow.db)).toEqual(before);
  },
);

test('all faults are told at once', async () => {
  const { body } = await user.post('/orchestrations/validate', {
    ...define({ ...steps.ask, next_step_id: 'x' }, { ...steps.check, if_condition: '(' }),
    entry_step_id: 'y',
  });
  expect(body.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual([
    '/entry_step_id',
    '/steps/0/next_step_id',
    '/steps/1/if_true_step_id',
    '/steps/1/if_condition',
  ]);
});
