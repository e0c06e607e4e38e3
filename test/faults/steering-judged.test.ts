import { describe, expect, test } from 'vitest';
import type { Evidence } from '../../chaos/evidence.ts';
import { nothingGoesBack } from '../../chaos/invariants/effects.ts';
import { gatesArePassedByPeople } from '../../chaos/invariants/gates.ts';
import { heldRunsBeginNothing } from '../../chaos/invariants/held.ts';
import { orderIsKept } from '../../chaos/invariants/runs.ts';
import {
  completedRunsHaveHeard,
  correctionsStand,
  steeringsCountOnce,
  whatStandsBesideStays,
} from '../../chaos/invariants/steering.ts';

/** What chaos judges of runs whose course people change: what is as promised violates none of it, and what is broken does. */

const at = (ms: number) => new Date(ms).toISOString();
const run_id = 'run_a';
const run = {
  run_id,
  account_id: 'acc_a',
  status: 'completed',
  phase: 'done',
  attempt: 1,
  plan: null,
  kind: 'goal',
  orchestration_id: null,
  require_approval: false,
  human_gates: [],
  warnings: [],
  event_seq: 1,
  steered: 1,
};
const task = {
  run_id,
  id: 'T1',
  title: 'Work',
  kind: 'ai',
  status: 'completed',
  depends_on: [] as string[],
  attempts: 1,
  round: 0,
  output_id: `${run_id}/T1/execute_task/1/1`,
  completed_at: at(5_000),
};
const call = {
  run_id,
  call_id: task.output_id,
  task_id: 'T1',
  purpose: 'execute',
  prompt: '',
  received_at: 1_000,
  answered_at: 1_100,
};
const nothing = {
  runs: [run],
  tasks: [task],
  gates: [],
  llm_calls: [],
  tool_calls: [],
  events: [],
  outbox: [],
  changes: [],
  calls: [],
  orders: [],
  received: [],
  workflows: [{ workflow_id: run_id, text: 'Work', steerings: [1] }],
  journal: [],
  fallen: [],
  texts: new Map(),
  audits: new Map(),
  gathered_at: 100_000,
};
const evidence = (given: object) => ({ ...nothing, ...given }) as unknown as Evidence;

/** An event with which a person steers. */
const told = (type: string, data: object, created = 20_000) => ({
  run_id,
  seq: 1,
  type,
  created_at: at(created),
  data: { n: 1, task_id: 'T1', redone: ['T1'], cancelled: [], note: 'steer-1', ...data },
});
const asked = { run_id, note: 'steer-1', invoked: 19_000, ended: 20_100, outcome: 'ok' };

describe('while a run is held nothing is begun in it', () => {
  const hold = { op: 'hold', run_id, n: 1, note: 'hold-1', invoked: 9_900, ended: 10_000, outcome: 'ok' };
  const release = { op: 'release', run_id, n: 2, note: 'release-2', invoked: 20_000, ended: 20_100, outcome: 'ok' };
  const events = [
    { run_id, type: 'run.held', data: { note: 'hold-1' }, created_at: at(9_950) },
    { run_id, type: 'run.released', data: { note: 'release-2' }, created_at: at(20_050) },
  ];
  const frozen = { kind: 'freeze', target: 'worker1', began: 11_000, ended: 13_000, lasts: 2_000 };
  const judge = (given: object) => heldRunsBeginNothing(evidence({ journal: [hold, release], events, ...given }));
  const calls = (received_at: number) => ({ calls: [{ ...call, received_at }] });

  test.for([
    ['nothing', {}],
    ['a call that was in flight', calls(9_000)],
    ['one that was about to be made', calls(11_000)],
    ['one of a worker that was frozen with it', { ...calls(15_000), fallen: [frozen] }],
    ['one after the release', calls(21_000)],
  ] as [string, object][])('%s is as promised', ([, given]) => expect(judge(given)).toEqual([]));
  test.for([
    ['a call', calls(15_000), 'was held from'],
    ['a call of a tool', { orders: [{ call_id: `${run_id}/T1/execute_task/1/1/1`, at: 16_000 }] }, 'was held from'],
    ['a hold that was lost', { events: [events[1]] }, 'hold-1 was told 0 times'],
    ['one that came twice', { events: [events[0], ...events] }, 'hold-1 was told 2 times'],
  ] as [string, object, string][])('%s is told', ([, given, words]) =>
    expect(judge(given)).toContainEqual(expect.stringContaining(words)),
  );
});

describe('a correction stands, and what it replaced is in the audit', () => {
  const output_id = `${run_id}/steering/1`;
  const corrected = { op: 'steer', action: 'correct', task_id: 'T1', text: 'By hand.', replaced: 'By it.', ...asked };
  const event = told('task.corrected', { redone: [], output_id });
  const audit = { events: [{ seq: 1, type: 'task.corrected', texts: { output: 'By hand.', before: 'By it.' } }] };
  const texts = new Map([[output_id, 'By hand.']]);
  const right = {
    journal: [corrected],
    tasks: [{ ...task, output_id, round: 1 }],
    events: [event],
    texts,
    audits: new Map([[run_id, audit]]),
  };
  const judge = (given: object) => correctionsStand(evidence({ ...right, ...given }));

  test('so', () => expect(judge({})).toEqual([]));
  test.for([
    ['another output', { texts: new Map([[output_id, 'By another.']]) }, 'was corrected to'],
    ['what the audit lacks', { audits: new Map([[run_id, { events: [{ ...audit.events[0], texts: {} }] }]]) }, 'lacks'],
    ['a gap', { audits: new Map([[run_id, { events: [{ ...audit.events[0], seq: 2 }] }]]) }, 'has 2 of 1'],
    [
      'a final output of what was before',
      {
        runs: [{ ...run, final_output_id: 'final' }],
        calls: [{ ...call, task_id: undefined, purpose: 'finalize', call_id: 'final', prompt: 'By it.' }],
      },
      'was made without T1',
    ],
    ['an audit that cannot be read', { audits: new Map([[run_id, undefined]]) }, 'is not in the audit'],
  ] as [string, object, string][])('%s is told', ([, given, words]) =>
    expect(judge(given)).toContainEqual(expect.stringContaining(words)),
  );
});

describe('what is sent back is done again, and nothing else', () => {
  const feedback_id = `${run_id}/steering/1`;
  const again = { ...call, call_id: `${run_id}/T1/execute_task/2/1`, received_at: 21_000, prompt: 'Shorter.' };
  const beside = { ...task, id: 'T2', output_id: `${run_id}/T2/execute_task/1/1` };
  const right = {
    tasks: [{ ...task, attempts: 2, round: 1, output_id: again.call_id, completed_at: at(22_000) }, beside],
    events: [told('task.retried', { feedback_id })],
    texts: new Map([[feedback_id, 'Shorter.']]),
    calls: [call, { ...call, task_id: 'T2', call_id: beside.output_id }, again],
  };
  const judge = (given: object) => whatStandsBesideStays(evidence({ ...right, ...given }));

  test('so', () => expect(judge({})).toEqual([]));
  test.for([
    ['a task that is not done again', { calls: [call] }, 'and was not'],
    [
      'one that goes on where it was given up',
      {
        calls: [...right.calls, { ...call, received_at: 30_000 }],
        tasks: [{ ...right.tasks[0], completed_at: at(40_000) }],
      },
      'before it',
    ],
    ['one that is not told why', { calls: [call, { ...again, prompt: 'Do it.' }] }, 'not told'],
    [
      'one beside it that is done again',
      { calls: [...right.calls, { ...again, task_id: 'T2', call_id: `${run_id}/T2/execute_task/2/1` }] },
      'T2 was completed at',
    ],
  ] as [string, object, string][])('%s is told', ([, given, words]) =>
    expect(judge(given)).toContainEqual(expect.stringContaining(words)),
  );
});

describe('what is asked of a task is done once', () => {
  const request = { op: 'steer', action: 'retry', task_id: 'T1', ...asked };
  const event = told('task.retried', {});
  const right = { journal: [request], events: [event], tasks: [{ ...task, round: 1 }] };
  const judge = (given: object) => steeringsCountOnce(evidence({ ...right, ...given }));
  const skipped = { events: [told('task.skipped', { redone: [] })], tasks: [{ ...task, status: 'skipped' }] };

  test.for([
    ['a retry', {}],
    ['one of which the answer was lost', { journal: [{ ...request, outcome: 'unknown' }] }],
    ['a skip', skipped],
  ] as [string, object][])('%s is as promised', ([, given]) => expect(judge(given)).toEqual([]));
  test.for([
    ['one that nobody asked for', { journal: [] }, 'nobody asked for'],
    ['one that was lost', { events: [], runs: [{ ...run, steered: 0 }] }, 'was accepted 0 times'],
    ['one that was accepted twice', { events: [event, told('task.retried', { n: 2 })] }, 'was accepted 2 times'],
    ['one that was refused, and done', { journal: [{ ...request, outcome: 'fail' }] }, 'was accepted 1 times'],
    ['one that counts twice', { tasks: [{ ...task, round: 2 }] }, 'in round 2'],
    ['one that did nothing', { tasks: [task] }, 'in round 0'],
    ['a task that is not skipped', { ...skipped, tasks: [task] }, 'is completed after'],
    ['one that nobody has skipped', { ...skipped, events: [event] }, 'nobody left it out'],
  ] as [string, object, string][])('%s is told', ([, given, words]) =>
    expect(judge(given)).toContainEqual(expect.stringContaining(words)),
  );

  const changed = (note: string, changed: string[]) => ({ ...told('run.changed', { note, changed }), seq: 1 });
  const change = { ...asked, op: 'change', n: 1, change: { tags: ['x'] }, note: 'change-1' };
  const labels = (tags: string[]) => ({
    journal: [change],
    events: [changed('change-1', ['tags'])],
    runs: [{ ...run, steered: 0, tags }],
    tasks: [],
  });
  test('labels are the last ones', () => expect(judge(labels(['x']))).toEqual([]));
  test('others are told', () => expect(judge(labels(['y']))).toEqual([expect.stringContaining('was given last')]));
  test('a change that is lost is told', () =>
    expect(judge({ ...labels(['x']), events: [] })).toEqual([expect.stringContaining('is not told')]));
});

test('a completed run has heard of all that was asked of it', () => {
  const workflow = nothing.workflows[0]!;
  expect(completedRunsHaveHeard(evidence({}))).toEqual([]);
  const deaf = { workflows: [{ ...workflow, steerings: [] }] };
  expect(completedRunsHaveHeard(evidence(deaf))).toEqual([expect.stringContaining('steered 1 times')]);
});

describe('a task goes back when a person has it done again, and only then', () => {
  const change = { run_id, task_id: 'T1', before: 'completed', after: 'pending', versions: [1, 2], rounds: [0, 1] };
  const events = [told('task.retried', {})];
  const judge = (given: object, how: object = {}) =>
    nothingGoesBack(evidence({ events, changes: [{ ...change, at: at(20_500), ...how }], ...given }));

  test('so', () => expect(judge({})).toEqual([]));
  test.for([
    ['by nobody', { events: [] }, {}],
    ['before it was asked for', {}, { at: at(19_000) }],
    ['twice', {}, { rounds: [1, 2] }],
    ['within its round', {}, { rounds: [1, 1] }],
  ] as [string, object, object][])('%s it is told', ([, given, how]) => expect(judge(given, how)).toHaveLength(1));

  test('one that had failed also when its run is tried again', () => {
    const again = { before: 'failed', versions: [10_000, 1_010_000], rounds: [0, 0] };
    expect(judge({ journal: [{ op: 'retry', run_id }] }, again)).toEqual([]);
    expect(judge({}, again)).toHaveLength(1);
    expect(judge({ journal: [{ op: 'retry', run_id }] }, { ...again, versions: [10_000, 10_001] })).toHaveLength(1);
  });
});

describe('the order of tasks, and gates, of a run that was steered', () => {
  const before = { ...task, attempts: 2, output_id: `${run_id}/T1/execute_task/2/1` };
  const after = { ...task, id: 'T2', depends_on: ['T1'], attempts: 2, output_id: `${run_id}/T2/execute_task/2/1` };
  const made = (of: string, attempt: number, received_at: number, prompt = '') => ({
    ...call,
    task_id: of,
    call_id: `${run_id}/${of}/execute_task/${attempt}/1`,
    received_at,
    prompt,
  });
  const kept = (of: string, attempt: number, ms: number) => ({
    run_id,
    task_id: of,
    call_id: `${run_id}/${of}/execute_task/${attempt}/1`,
    created_at: at(ms),
  });
  const right = {
    tasks: [before, after],
    events: [told('task.retried', { redone: ['T1', 'T2'] })],
    texts: new Map([[before.output_id, 'The second.']]),
    llm_calls: [kept('T1', 1, 1_500), kept('T1', 2, 22_000)],
    calls: [made('T1', 1, 1_000), made('T2', 1, 2_000), made('T1', 2, 21_000), made('T2', 2, 23_000, 'The second.')],
  };
  const judge = (given: object) => orderIsKept(evidence({ ...right, ...given }));

  test('so', () => expect(judge({})).toEqual([]));
  test.for([
    ['a task that sees what was before', { calls: [...right.calls.slice(0, 3), made('T2', 2, 23_000)] }, 'not told'],
    ['one that begins too early', { llm_calls: [kept('T1', 2, 24_000)] }, 'began at'],
    ['one without what is before it', { tasks: [{ ...before, status: 'skipped' }, after] }, 'is skipped'],
  ] as [string, object, string][])('%s is told', ([, given, words]) =>
    expect(judge(given)).toContainEqual(expect.stringContaining(words)),
  );

  const gate = { gate_id: 'gate_1', run_id, task_id: 'T1', kind: 'approval', status: 'closed', opened_at: at(19_000) };
  test('a gate is closed by who steers, and by nobody else', () => {
    expect(gatesArePassedByPeople(evidence({ ...right, gates: [gate] }))).toEqual([]);
    expect(gatesArePassedByPeople(evidence({ ...right, gates: [gate], events: [] }))).toHaveLength(1);
  });
});
