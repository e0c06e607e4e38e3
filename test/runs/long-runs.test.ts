import { afterEach, beforeEach, expect, test } from 'vitest';
import { startFakeWebhook, type FakeWebhook } from '../fakes/webhook.ts';
import { until, type TestRun } from '../harness/orchflow.ts';
import { fetchHistories } from '../harness/replay.ts';
import { useStory } from '../harness/story.ts';

/** Runs whose histories grow long: they continue as new, and nobody notices. */

const story = useStory({ RUN_HISTORY_LIMIT: '100' });
let endpoint: FakeWebhook;
beforeEach(async () => {
  endpoint = await startFakeWebhook();
});
afterEach(() => endpoint.close());

const handleOf = ({ run_id }: TestRun) => story.orchflow.client.workflow.getHandle(run_id);

function eventsOf({ run_id }: TestRun) {
  const { db } = story.orchflow;
  return db.selectFrom('run_events').selectAll().where('run_id', '=', run_id).orderBy('seq').execute();
}

/** Rejects a task until it has had so many attempts. */
async function reject(run: TestRun, task_id: string, attempts: number, meanwhile?: () => Promise<unknown>) {
  for (let attempt = (await run.task(task_id)).attempts; attempt < attempts; attempt += 1) {
    const [rejected] = await Promise.all([
      run.complete(task_id, { decision: 'reject', output: `Remark ${attempt}.` }),
      meanwhile?.(),
    ]);
    expect(rejected, JSON.stringify(rejected.body)).toMatchObject({ status: 200 });
    await run.until(({ tasks }) => {
      const task = tasks.find(({ id }) => id === task_id)!;
      return task.attempts === attempt + 1 && task.gate!.status === 'open';
    });
  }
}

test('a run that is sent back again and again continues as new, with its gates, its timers and every answer', async () => {
  const human_gates = [{ name: 'contract', gate_due_in: '6s', remind_every: '2s' }];
  const run = await story.start(
    {
      plan: ['Write the report', 'Sign the contract', 'Review the report'],
      execute: ({ task_id }) => `Draft ${story.prompts(task_id!).length} of ${task_id}.`,
    },
    { require_approval: true, human_gates, webhook_url: endpoint.url },
  );
  const { tasks } = await run.until((view) => view.waiting_tasks.length === 3);
  const contract = tasks[1]!.gate!;

  // Signals that come while it continues as new.
  let strangers = 0;
  const disturb = () => handleOf(run).signal('completeTask', { task_id: `T9${(strangers += 1)}`, output: 'x' });
  await reject(run, 'T1', 10, disturb);
  await endpoint.untilReceived('gate.overdue');
  await Promise.all([
    run.complete('T3', { decision: 'edit', output: 'My own review.' }),
    reject(run, 'T1', 16, disturb),
  ]);
  expect((await run.get()).tasks[1]!.gate).toEqual(contract);
  await Promise.all([
    run.complete('T1', {}),
    handleOf(run).signal('completeTask', { task_id: 'T2', output: 'Signed.' }),
  ]);

  const done = await run.until('completed');
  expect(done.tasks.map(({ attempts, output }) => [attempts, output])).toEqual([
    [16, 'Draft 16 of T1.'],
    [0, 'Signed.'],
    [1, 'My own review.'],
  ]);
  expect(story.prompts('T1').map((prompt) => /Remark \d+\./.exec(prompt)?.[0])).toEqual([
    undefined,
    ...Array.from({ length: 15 }, (_, index) => `Remark ${index + 1}.`),
  ]);
  expect(done.warnings).toHaveLength(strangers);
  expect(done.usage.llm_calls).toBe(2 + 2 * 17 + 1);

  await handleOf(run).result();
  const histories = await fetchHistories(story.orchflow.client, run.run_id);
  expect(histories.length).toBeGreaterThanOrEqual(4);
  for (const { events } of histories) expect(events!.length).toBeLessThan(250);

  const events = await eventsOf(run);
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
  const count = (type: string) => events.filter((event) => event.type === type).length;
  expect([count('run.started'), count('run.phase'), count('run.planned')]).toEqual([1, 3, 1]);
  expect([count('gate.opened'), count('gate.answered'), count('gate.overdue')]).toEqual([18, 18, 1]);
  await endpoint.untilReceived('completed');
  const ids = endpoint.requests.map(({ headers }) => headers['webhook-id']);
  expect(ids).toEqual([...new Set(ids)]);
  expect(endpoint.requests.filter(({ payload }) => payload.event === 'gate.overdue')).toHaveLength(1);
});

test('operators find a run that has continued as new as they found it before, and can cancel it', async () => {
  const run = await story.start({}, { require_approval: true, ask_me_about: ['budget'] });
  await run.untilWaiting('T1');
  const before = await handleOf(run).describe();
  await run.complete('T1', { output: 'Ten euros.' });
  await run.until((view) => view.waiting_tasks.length === 3);
  await reject(run, 'T2', 9);
  await until(async () => (await handleOf(run).describe()).runId !== before.runId, 'it continues as new');
  const waitingTasks = async () => (await handleOf(run).describe()).searchAttributes.OrchflowWaitingTasks;
  await until(async () => String(await waitingTasks()) === 'T2,T3,T4', 'it is found by what it waits for');
  const after = await handleOf(run).describe();
  expect(after.searchAttributes).toMatchObject({
    OrchflowAccount: before.searchAttributes.OrchflowAccount,
    OrchflowStatus: ['waiting_human'],
  });
  const live = await story.user.get(`/runs/${run.run_id}?live=true`);
  expect(live.body.live).toMatchObject({
    status: 'waiting_human',
    tasks: [{ id: 'T1', status: 'completed' }, {}, {}, {}],
  });
  expect(await run.cancel()).toMatchObject({ status: 200 });
  await expect(handleOf(run).result()).rejects.toThrow();
  expect((await handleOf(run).describe()).status.name).toBe('CANCELLED');
});

test('an agent that failed goes on from where it was: failures, feedback and reasons are not forgotten', async () => {
  const failed = { passed: false, score: 0.1, feedback: 'Thin.' };
  let verdicts = 0;
  const run = await story.start({
    dependencies: { T2: ['T1'], T3: ['T2'] },
    evaluate: ({ task_id }) => (task_id === 'T1' && (verdicts += 1) <= 12 ? failed : undefined),
    finalize: () => (story.model.callsFor('finalize').length <= 12 ? { status: 401 } : undefined),
  });
  for (let round = 1; round <= 4; round += 1) {
    const waiting = await run.until(
      ({ tasks }) => tasks[0]?.gate?.status === 'open' && tasks[0].attempts === 3 * round,
    );
    expect(waiting.tasks[0]!.gate).toMatchObject({ kind: 'escalation', reason: 'The evaluation says: Thin.' });
    await run.complete('T1', { decision: 'retry' });
  }
  let gate_id: string | undefined;
  for (let round = 1; round <= 12; round += 1) {
    const waiting = await run.until(
      ({ tasks }) => tasks[3]?.gate?.status === 'open' && tasks[3].gate.gate_id !== gate_id,
    );
    ({ gate_id } = waiting.tasks[3]!.gate!);
    await run.complete('T4', round % 2 ? { decision: 'retry' } : { decision: 'reject', output: `Remark ${round}.` });
  }
  const done = await run.until('completed');
  expect(done.tasks.map(({ attempts }) => attempts)).toEqual([13, 1, 1, 0]);
  const last = story.model.callsFor('finalize').at(-1)!.prompt;
  for (let round = 2; round <= 12; round += 2) expect(last).toContain(`Remark ${round}.`);
  await handleOf(run).result();
  expect((await fetchHistories(story.orchflow.client, run.run_id)).length).toBeGreaterThanOrEqual(3);
});

test('a run that waits for a decision on its budget continues as new in the middle of its attempts', async () => {
  const run = await story.start({}, { max_tokens: 9_000, remind_every: '1s', webhook_url: endpoint.url });
  const waiting = await run.untilWaiting('_budget_1');
  const before = (await handleOf(run).describe()).runId;
  await until(async () => (await handleOf(run).describe()).runId !== before, 'it continues as new');
  expect((await run.get()).tasks.at(-1)!.gate).toEqual(waiting.tasks.at(-1)!.gate);
  const done = await run.until((view) => {
    const asked = view.waiting_tasks.find((id) => id.startsWith('_budget_'));
    if (asked) void run.complete(asked, { decision: 'approve' });
    return view.status === 'completed';
  });
  expect(done.tasks.slice(0, 3).map(({ attempts, status }) => [attempts, status])).toEqual(
    Array(3).fill([1, 'completed']),
  );
  for (const id of ['T1', 'T2', 'T3']) expect(story.prompts(id)).toHaveLength(1);
});
