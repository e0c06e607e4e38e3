import type { TestRun } from '../harness/orchflow.ts';
import { expect, test } from 'vitest';
import { until } from '../harness/orchflow.ts';
import { useStory } from '../harness/story.ts';

/** Answers that an operator signals by hand, beside those that come over REST; and what a run tells when asked directly. */

const story = useStory();

const handleOf = (run: TestRun) => story.orchflow.client.workflow.getHandle(run.run_id);
const signal = (run: TestRun, answer: unknown) => handleOf(run).signal('completeTask', answer);
const gatesOf = (run: TestRun) =>
  story.orchflow.db.selectFrom('gates').selectAll().where('run_id', '=', run.run_id).orderBy('opened_at').execute();
const eventsOf = async (run: TestRun) => {
  const events = await story.orchflow.db
    .selectFrom('run_events')
    .select('type')
    .where('run_id', '=', run.run_id)
    .orderBy('seq')
    .execute();
  return events.map(({ type }) => type);
};

async function startAsking() {
  const run = await story.start({}, { ask_me_about: ['budget'] });
  await run.untilWaiting('T1');
  return run;
}

test('an answer signalled by hand ends the same way as one over REST', async () => {
  const [byHand, byRest] = [await startAsking(), await startAsking()];
  await signal(byHand, { task_id: 'T1', output: 'Ten dollars.' });
  await byRest.complete('T1', { output: 'Ten dollars.' });
  const [a, b] = [await byHand.until('completed'), await byRest.until('completed')];

  expect(a.tasks[0]).toMatchObject({
    status: 'completed',
    output: 'Ten dollars.',
    gate: { status: 'answered', decision: 'approve' },
  });
  expect(a.warnings).toEqual([]);
  expect(a.tasks.map((task) => [task.status, task.output])).toEqual(b.tasks.map((task) => [task.status, task.output]));
  expect((await eventsOf(byHand)).filter((type) => !type.startsWith('task.'))).toEqual(
    (await eventsOf(byRest)).filter((type) => !type.startsWith('task.')),
  );
  const [gate] = await gatesOf(byHand);
  expect(gate).toMatchObject({ status: 'answered', decision: 'approve', answer_id: gate!.gate_id });
  const text = await story.orchflow.db
    .selectFrom('texts')
    .selectAll()
    .where('text_id', '=', gate!.gate_id)
    .executeTakeFirst();
  expect(text).toEqual({ text_id: gate!.gate_id, run_id: byHand.run_id, account_id: null, text: 'Ten dollars.' });
  for (const { prompt } of story.model.callsFor('execute')) expect(prompt).toContain('Ten dollars.');
});

test('an operator approves, edits and rejects by signal like anybody over REST', async () => {
  const run = await story.start({}, { require_approval: true });
  await run.until((view) => view.waiting_tasks.length === 3);
  await signal(run, { task_id: 'T1' });
  await signal(run, { task_id: 'T2', decision: 'edit', output: 'By the operator.' });
  await signal(run, { task_id: 'T3', decision: 'reject', output: 'Again, please.' });
  await run.until((view) => view.waiting_tasks.includes('T3') && view.tasks[2]!.attempts === 2);
  await signal(run, { task_id: 'T3', decision: 'approve', output: null, gate_id: null });
  const done = await run.until('completed');
  expect(done.tasks.map((task) => task.output)).toEqual(['Output of T1.', 'By the operator.', 'Output of T3.']);
  expect(story.prompts('T3')[1]).toContain('Again, please.');
  expect((await gatesOf(run)).map((gate) => gate.decision)).toEqual(
    expect.arrayContaining(['approve', 'edit', 'reject', 'approve']),
  );
});

test.each<[string, unknown, string]>([
  ['for an unknown task', { task_id: 'T9', output: 'x' }, 'A signal for T9 was not taken: no task of this id waits'],
  [
    'for a task that does not wait',
    { task_id: 'T2', output: 'x' },
    'A signal for T2 was not taken: no task of this id waits',
  ],
  [
    'for another gate',
    { task_id: 'T1', output: 'x', gate_id: 'gate_old' },
    'A signal for T1 was not taken: the task waits for gate_',
  ],
  ['without an output', { task_id: 'T1' }, 'A signal for T1 was not taken: "approve" needs `output`'],
  ['with an empty output', { task_id: 'T1', output: ' \n' }, 'A signal for T1 was not taken: "approve" needs `output`'],
  [
    'with an output that is no text',
    { task_id: 'T1', output: { a: 1 } },
    'A signal for T1 was not taken: `output` must be a text',
  ],
  [
    'with a decision that the gate does not take',
    { task_id: 'T1', output: 'x', decision: 'retry' },
    'takes "approve", "edit", not "retry"',
  ],
  ['with an unknown decision', { task_id: 'T1', output: 'x', decision: 'toString' }, 'not "toString"'],
  [
    'of 70,000 characters',
    { task_id: 'T1', output: 'x'.repeat(70_000) },
    '`output` is longer than 64000 characters; send it over REST',
  ],
  ['that Postgres cannot store', { task_id: 'T1', output: 'a\u0000b' }, '`output` must be Unicode text without NUL'],
  ['with half a character', { task_id: 'T1', output: 'a\ud83d' }, '`output` must be Unicode text without NUL'],
  ['with a hostile task id', { task_id: `\u0000\ud83d${'x'.repeat(70_000)}`, output: 'x' }, 'A signal for'],
  [
    'whose task id is no text',
    { task_id: { toString: 1 }, output: 'x' },
    'A signal for no task_id was not taken: no task',
  ],
  ['whose decision is no text', { task_id: 'T1', output: 'x', decision: { toString: 1 } }, '"edit", not this.'],
  ['with a list', { task_id: 'T1', output: ['x'] }, 'A signal for T1 was not taken: `output` must be a text'],
  ['that is only a text', 'approve', 'was not taken'],
  ['that is nothing', null, 'was not taken'],
])('a signal %s is not taken, becomes a warning, and the gate stays open', async (_, answer, warning) => {
  const run = await startAsking();
  const before = await gatesOf(run);
  await signal(run, answer);
  const waiting = await run.until((view) => view.warnings.length > 0);
  expect(waiting).toMatchObject({
    status: 'waiting_human',
    waiting_tasks: ['T1'],
    warnings: [expect.stringContaining(warning)],
  });
  expect(await gatesOf(run)).toEqual(before);

  await run.complete('T1', { output: 'Ten dollars.' });
  const done = await run.until('completed');
  expect(done.tasks[0]!.output).toBe('Ten dollars.');
  expect(done.warnings).toHaveLength(1);
});

test('of a signal and a REST answer in the same moment exactly one stands, the same in Postgres and in the workflow', async () => {
  const runs = await Promise.all(Array.from({ length: 8 }, startAsking));
  const winners = await Promise.all(
    runs.map(async (run, index) => {
      const bySignal = () => signal(run, { task_id: 'T1', output: 'By signal.' });
      const byRest = () => run.complete('T1', { output: 'By REST.' });
      const [answered] = await Promise.all(index % 2 ? [byRest(), bySignal()] : [bySignal().then(byRest)]);
      const done = await run.until('completed');
      const restWon = answered.status === 200;
      expect(done.tasks[0]!.output).toBe(restWon ? 'By REST.' : 'By signal.');
      if (!restWon) expect(answered).toMatchObject({ status: 409 });
      const [gate, ...more] = await gatesOf(run);
      expect(more).toEqual([]);
      const result = (await handleOf(run).query('runState')) as { tasks: { id: string; output_id: string }[] };
      expect(result.tasks.find((task) => task.id === 'T1')!.output_id).toBe(gate!.answer_id);
      expect((await eventsOf(run)).filter((type) => type === 'gate.answered')).toHaveLength(1);
      return restWon;
    }),
  );
  expect(winners).toHaveLength(8);
  for (const { prompt } of story.model.callsFor('execute')) expect(prompt).toMatch(/By (REST|signal)\./);
});

test('answers to several tasks signalled in one moment all stand', async () => {
  const human_gates = ['contract', 'designer', 'office', 'domain'];
  const plan = ['Sign the contract', 'Hire a designer', 'Rent an office', 'Buy the domain', 'Write it up'];
  const start = () => story.start({ plan, dependencies: { T5: ['T1', 'T3'] } }, { human_gates });
  const runs = await Promise.all(Array.from({ length: 6 }, start));
  for (const run of runs) await run.until((view) => view.waiting_tasks.length === 4);
  await Promise.all(
    runs.flatMap((run) => ['T4', 'T1', 'T3', 'T2'].map((id) => signal(run, { task_id: id, output: `Done: ${id}.` }))),
  );
  for (const run of runs) {
    const done = await run.until('completed');
    expect(done.tasks.map((task) => task.output)).toEqual([
      'Done: T1.',
      'Done: T2.',
      'Done: T3.',
      'Done: T4.',
      'Output of T5.',
    ]);
    expect(done.warnings).toEqual([]);
  }
});

test('a run tells its state and its open gates when asked directly, in the words of the API', async () => {
  const run = await story.start(
    { plan: ['Sign the contract', 'Research rivals', 'Hire a designer'] },
    { human_gates: ['contract', 'designer'] },
  );
  const waiting = await run.until((view) => view.waiting_tasks.length === 2 && view.tasks[1]!.status === 'completed');

  expect(await handleOf(run).query('waitingTasks')).toEqual(
    ['T1', 'T3'].map((task_id) => ({
      task_id,
      decisions: ['approve', 'edit'],
      gate_id: waiting.tasks.find((task) => task.id === task_id)!.gate!.gate_id,
      kind: 'human_task',
      status: 'open',
      reason: null,
      opened_at: waiting.tasks.find((task) => task.id === task_id)!.gate!.opened_at,
      due_at: null,
      reminders: 0,
      overdue_at: null,
    })),
  );
  const state = await handleOf(run).query('runState');
  expect(state).toMatchObject({
    run_id: run.run_id,
    status: 'waiting_human',
    phase: 'execute',
    warnings: [],
    error: null,
  });
  const summary = (tasks: { id: string; status: string; attempts: number }[]) =>
    tasks.map(({ id, status, attempts }) => ({ id, status, attempts }));
  expect(summary((state as typeof waiting).tasks)).toEqual(summary(waiting.tasks));

  const live = await story.user.get(`/runs/${run.run_id}?live=true`);
  expect(live).toMatchObject({ status: 200, body: { status: 'waiting_human', live: state } });
  expect((await story.user.get(`/runs/${run.run_id}`)).body).not.toHaveProperty('live');
  expect((await story.user.get(`/runs/${run.run_id}?live=yes`)).status).toBe(422);

  for (const id of waiting.waiting_tasks) await signal(run, { task_id: id, output: 'Done.' });
  await run.until('completed');
  await until(async () => ((await handleOf(run).query('waitingTasks')) as unknown[]).length === 0, 'no open gates');
});
