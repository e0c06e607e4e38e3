import { afterAll, beforeAll, expect, test } from 'vitest';
import { deleteOutboxEntry } from '../../db/outbox.ts';
import { changeRun } from '../../db/run-changes.ts';
import { getAccountOf } from '../../db/runs.ts';
import { startFakeWebhook, type FakeWebhook } from '../fakes/webhook.ts';
import { until, type TestRun } from '../harness/orchflow.ts';
import { startSteps } from '../harness/orchestration.ts';
import { expectFault, expectProblem } from '../harness/problem.ts';
import { useStory } from '../harness/story.ts';

/** `PATCH /runs/{id}` of due dates, reminders and policy: for gates that are open, and for those that open later. */

const story = useStory({ RUN_HISTORY_LIMIT: '100' });
let webhook: FakeWebhook;
beforeAll(async () => {
  webhook = await startFakeWebhook();
});
afterAll(() => webhook.down());

const change = ({ run_id }: Pick<TestRun, 'run_id'>, body: object) => story.user.patch(`/runs/${run_id}`, body);
const gateOf = async (run: TestRun, id = 'T1') => (await run.task(id)).gate!;
const secondsOf = ({ opened_at, due_at }: { opened_at: string; due_at: string | null }) =>
  Math.round((Date.parse(due_at!) - Date.parse(opened_at)) / 1_000);
const told = (run_id: string, event: string) =>
  webhook.requests.filter(({ payload }) => payload.run_id === run_id && payload.event === event).length;

test('a gate that is open gets more time, and those that open later have it too', async () => {
  const terms = { gate_due_in: '3s', on_timeout: 'reject', human_gates: ['report'] };
  const run = await story.start({}, { ask_me_about: ['the budget'], ...terms });
  await run.untilWaiting('T1');
  const before = await gateOf(run);
  expect((await change(run, { gate_due_in: '2d', note: 'Anna is away.' })).status).toBe(200);
  expect(await run.get()).toMatchObject({ gate_due_in: '2d', on_timeout: 'reject' });
  await until(async () => secondsOf(await gateOf(run)) === 2 * 86_400, 'the gate is due later');
  await until(() => Date.now() > Date.parse(before.due_at!) + 500, 'its first time is over');
  expect((await run.complete('T1', { output: 'Ten euros.' })).status).toBe(200);
  await run.untilWaiting('T4');
  expect(secondsOf(await gateOf(run, 'T4'))).toBe(2 * 86_400);
  await run.complete('T4', { output: 'By hand.' });
  await run.until('completed');
  const { events } = (await story.user.get(`/runs/${run.run_id}/audit`)).body;
  expect(events.find(({ type }: any) => type === 'run.changed')).toMatchObject({
    data: {
      changed: ['gate_due_in'],
      from: { gate_due_in: '3s' },
      to: { gate_due_in: '2d' },
      note: 'Anna is away.',
    },
  });
});

test('a gate that is open becomes due, is told again, and is decided as the new policy says', async () => {
  const run = await story.start({}, { ask_me_about: ['the budget'], webhook_url: webhook.url });
  await run.untilWaiting('T1');
  await change(run, { gate_due_in: '1s' });
  await until(() => told(run.run_id, 'gate.overdue') === 1, 'it is told');
  expect((await run.get()).status).toBe('waiting_human');
  await change(run, { on_timeout: 'approve' });
  const done = await run.until('completed');
  expect(done.tasks[0]).toMatchObject({ status: 'completed', output: null, gate: { status: 'expired' } });
  await until(() => told(run.run_id, 'gate.overdue') === 2, 'it is told again');
});

test('reminders begin, and the escalation goes where it is sent by then', async () => {
  const run = await story.start({}, { ask_me_about: ['the budget'], webhook_url: webhook.url });
  await run.untilWaiting('T1');
  await change(run, { remind_every: '1s' });
  await until(() => told(run.run_id, 'gate.reminder') >= 2, 'two reminders');
  const elsewhere = await startFakeWebhook();
  const escalation = { gate_due_in: '1s', on_timeout: 'escalate', escalation_webhook_url: elsewhere.url };
  await change(run, escalation);
  await elsewhere.untilReceived('gate.overdue');
  await run.cancel();
  await elsewhere.close();
});

test('what is accepted while no worker is there stands against the time that was over before it was heard', async () => {
  const run = await story.start({}, { ask_me_about: ['the budget'], gate_due_in: '2s', on_timeout: 'cancel' });
  await run.untilWaiting('T1');
  const { due_at } = await gateOf(run);
  await story.orchflow.stopWorker();
  expect((await change(run, { gate_due_in: '1d' })).status).toBe(200);
  await until(() => Date.now() > Date.parse(due_at!) + 500, 'its first time is over');
  await story.orchflow.startWorker();
  await until(async () => secondsOf(await gateOf(run)) === 86_400, 'the gate is due later');
  await run.complete('T1', { output: 'Ten euros.' });
  await run.until('completed');
});

test('what is accepted while no worker is there is heard also where a reminder is due before that', async () => {
  const run = await story.start({}, { ask_me_about: ['the budget'], gate_due_in: '1h', remind_every: '2s' });
  await run.untilWaiting('T1');
  await story.orchflow.stopWorker();
  expect((await change(run, { gate_due_in: '1d' })).status).toBe(200);
  const { opened_at } = await gateOf(run);
  await until(() => (Date.now() - Date.parse(opened_at)) % 2_000 > 1_900, 'a reminder is due');
  await story.orchflow.startWorker();
  await until(async () => secondsOf(await gateOf(run)) === 86_400, 'the gate is due later');
  await run.complete('T1', { output: 'Ten euros.' });
  await run.until('completed');
});

test('a change that got lost on its way is found where the gate would be decided', async () => {
  const { db } = story.orchflow;
  const run = await story.start({}, { ask_me_about: ['the budget'], gate_due_in: '2s', on_timeout: 'reject' });
  await run.untilWaiting('T1');
  const account_id = (await getAccountOf(db, run.run_id))!;
  const by = { kind: 'key' as const, id: null, name: null, on_behalf_of: null };
  const { entry } = (await changeRun(
    db,
    { account_id, run_id: run.run_id, by },
    { gate_due_in: '1d' },
    async () => {},
  ))!;
  // As when a process of the release before has delivered it, which knows no such message.
  await deleteOutboxEntry(db, entry!.outbox_id);
  await until(async () => secondsOf(await gateOf(run)) === 86_400, 'the gate is due later');
  await run.complete('T1', { output: 'Ten euros.' });
  await run.until('completed');
});

test('a task that answers to several gates has the strictest of the new terms, and gates with their own keep those', async () => {
  const own = { name: 'report', gate_due_in: '5d' };
  const run = await story.start(
    { plan: ['Research the market', 'Analyse it', 'Write the market report'] },
    { ask_me_about: ['x'], human_gates: [own, 'market report', 'legal approval'], gate_due_in: '9d' },
  );
  await run.untilWaiting('T1');
  const days = async (id: string) => secondsOf(await gateOf(run, id)) / 86_400;
  await run.untilWaiting('T4');
  expect([await days('T1'), await days('T4')]).toEqual([9, 5]);
  const { warnings } = (await change(run, { gate_due_in: '3d', remind_every: '1d' })).body;
  expect(warnings).toEqual(['`human_gates/0` ("report") keeps its own `gate_due_in`.']);
  await until(async () => (await days('T4')) === 3, 'the strictest of 5 and 3');
  await change(run, { gate_due_in: '6d' });
  await until(async () => (await days('T4')) === 5, 'the strictest of 5 and 6');
  await run.cancel();
});

test('a run that continues as new keeps them', async () => {
  const run = await story.start({ dependencies: { T2: ['T1'], T3: ['T2'] } }, { require_approval: true });
  await run.untilWaiting('T1');
  await change(run, { gate_due_in: '4d' });
  for (let attempt = 1; attempt <= 7; attempt += 1) {
    await run.until(({ tasks }) => tasks[0]!.attempts === attempt && tasks[0]!.gate?.status === 'open');
    await run.complete('T1', { decision: 'reject', output: `Remark ${attempt}.` });
  }
  await run.until(({ tasks }) => tasks[0]!.attempts === 8 && tasks[0]!.gate?.status === 'open');
  const { status } = await story.orchflow.client.workflow.getHandle(run.run_id).describe();
  expect(status.name).toBe('RUNNING');
  expect(secondsOf(await gateOf(run))).toBe(4 * 86_400);
  await run.cancel();
});

test('an orchestration is changed in the same way, but for what its steps say themselves', async () => {
  const paused = await startSteps(
    story.user,
    [
      { id: 'fork', type: 'parallel', parallel_branches: [['ask'], ['own'], ['timed']], next_step_id: null },
      { id: 'ask', type: 'human', next_step_id: null, human_fields: [{ name: 'ok', type: 'boolean', required: true }] },
      { id: 'own', type: 'human', next_step_id: null, gate_due_in: '7d' },
      { id: 'timed', type: 'human', next_step_id: null, human_timeout_seconds: 6 * 86_400 },
    ],
    { gate_due_in: '9d' },
  );
  const run = story.user.openRun(paused.body.run_id);
  await run.until(({ waiting_tasks }) => waiting_tasks.length === 3);
  expectFault(await change(run, { on_timeout: 'approve' }), '/on_timeout');
  const { warnings } = (await change(run, { gate_due_in: '2d' })).body;
  const ofTimed = 'The step "timed" keeps its own `human_timeout_seconds`.';
  expect(warnings).toEqual(['The step "own" keeps its own `gate_due_in`.', ofTimed]);
  expect((await change(run, { on_timeout: 'cancel' })).body.warnings).toEqual([ofTimed]);
  expect((await change(run, { remind_every: '1h' })).body.warnings).toEqual([]);
  await until(async () => secondsOf(await gateOf(run, 'ask')) === 2 * 86_400, 'the gate is due later');
  expect(secondsOf(await gateOf(run, 'own'))).toBe(7 * 86_400);
  expect(secondsOf(await gateOf(run, 'timed'))).toBe(6 * 86_400);
  await run.cancel();
});

test('a failed run is retried with other terms', async () => {
  const run = await story.start({}, { ask_me_about: ['x'], gate_due_in: '1s', on_timeout: 'reject' });
  await run.until('failed');
  const retry = (body: object) => story.user.post(`/runs/${run.run_id}/retry`, body);
  expectFault(await retry({ remind_every: '3s' }), '/remind_every');
  expectFault(await retry({ on_timeout: 'escalate' }), '/escalation_webhook_url');
  expect((await run.get()).status).toBe('failed');
  expect((await retry({ gate_due_in: '1d' })).status).toBe(200);
  await run.untilWaiting('T1');
  expect(secondsOf(await gateOf(run))).toBe(86_400);
  await change(run, { gate_due_in: '1s' });
  await run.until(({ status, attempt }) => status === 'failed' && attempt === 2);
});

test('terms that cannot work are refused by name, and nothing is changed', async () => {
  const human_gates = [{ name: 'report', remind_every: '2d' }];
  const run = await story.start({}, { ask_me_about: ['x'], human_gates, gate_due_in: '9d', on_timeout: 'reject' });
  await run.untilWaiting('T1');
  expectFault(await change(run, { gate_due_in: '1d' }), '/gate_due_in');
  expectFault(await change(run, { on_timeout: 'escalate' }), '/escalation_webhook_url');
  expectFault(await change(run, { remind_every: '10d' }), '/remind_every');
  expectFault(await change(run, { escalation_webhook_url: 'http://10.0.0.1/x' }), '/escalation_webhook_url');
  expectFault(await change(run, { gate_due_in: 'soon' }), '/gate_due_in');
  const other = await story.orchflow.register();
  const unknown = { status: 404, code: 'NOT_FOUND' };
  expectProblem(await other.patch(`/runs/${run.run_id}`, { gate_due_in: '8d' }), unknown);
  expect(await run.get()).toMatchObject({ gate_due_in: '9d', remind_every: null, on_timeout: 'reject' });
  await run.cancel();
  const finished = { status: 409, code: 'RUN_FINISHED', run_status: 'cancelled' };
  expectProblem(await change(run, { gate_due_in: '8d' }), finished);
});
