import type { WorkflowHandle } from '@temporalio/client';
import { describe, expect, test } from 'vitest';
import { cancelRun } from '../../db/run-ends.ts';
import { getAccountOf } from '../../db/runs.ts';
import { startFakeWebhook } from '../fakes/webhook.ts';
import { actor } from '../harness/actor.ts';
import { until, type TestRun } from '../harness/orchflow.ts';
import { expectProblem } from '../harness/problem.ts';
import { goal, useStory } from '../harness/story.ts';
import { scriptRun } from '../harness/script.ts';

const story = useStory();

/** Expects that the run is cancelled for its readers and for Temporal, and that nothing of it is open any more. */
async function expectCancelled(run: TestRun) {
  const handle = story.orchflow.client.workflow.getHandle(run.run_id);
  await until(async () => (await handle.describe()).status.name !== 'RUNNING', 'the workflow ends');
  expect((await handle.describe()).status.name).toBe('CANCELLED');

  const cancelled = await run.get();
  expect(cancelled).toMatchObject({ status: 'cancelled', waiting_tasks: [], final_output: null, error: null });
  expect(cancelled.completed_at).not.toBeNull();
  for (const task of cancelled.tasks) {
    expect(['completed', 'cancelled']).toContain(task.status);
    expect(task.gate?.status).not.toBe('open');
  }
  const events = await story.orchflow.db
    .selectFrom('run_events')
    .select('type')
    .where('run_id', '=', run.run_id)
    .execute();
  expect(events.filter(({ type }) => type === 'run.cancelled')).toHaveLength(1);
  return cancelled;
}

/** True while an activity of the run is on a worker; its start is in the history only when it has ended. */
async function isAtWork(handle: WorkflowHandle): Promise<boolean> {
  const { pendingActivities } = (await handle.describe()).raw;
  return pendingActivities!.some(({ lastStartedTime }) => lastStartedTime);
}

const callsHang = () => ({ hang: 'before_headers' as const });

describe('a run can be cancelled', () => {
  test('while model calls are in flight: the connections to the provider are closed and no call follows', async () => {
    const run = await story.start({ execute: callsHang });
    await story.model.until(() => story.model.openCalls === 3);

    expect(await run.cancel()).toMatchObject({ status: 200, body: { run_id: run.run_id, status: 'cancelled' } });
    expect(await run.get()).toMatchObject({ status: 'cancelled' });
    await story.model.untilHungUp();
    for (const call of story.model.callsFor('execute')) expect(call.client_closed).toBe(true);
    const calls = story.model.calls.length;
    const { tasks } = await expectCancelled(run);
    expect(tasks.map(({ status }) => status)).toEqual(['cancelled', 'cancelled', 'cancelled']);
    expect(story.model.calls).toHaveLength(calls);
  });

  test('while the goal is being split', async () => {
    const run = await story.start({ split: callsHang });
    const call = await story.model.waitForCall();
    await run.cancel();
    await story.model.untilHungUp();
    expect(call.client_closed).toBe(true);
    expect((await expectCancelled(run)).tasks).toEqual([]);
    expect(story.model.calls).toEqual([call]);
  });

  test('while it waits for a person: the gate is closed, and a late answer is refused', async () => {
    const run = await story.start({}, { ask_me_about: ['the budget'] });
    await run.untilWaiting('T1');
    await run.cancel();
    expectProblem(await run.complete('T1', { output: 'Ten euros.' }), {
      status: 409,
      code: 'TASK_NOT_WAITING',
      task_status: 'cancelled',
    });
    const { tasks } = await expectCancelled(run);
    expect(tasks[0]).toMatchObject({ status: 'cancelled', output: null, gate: { status: 'closed', decision: null } });
    expect(story.model.callsFor('execute')).toEqual([]);
  });

  test('while a failed call waits to be tried again', async () => {
    const { model } = story;
    const areAsked = () => model.callsFor('execute').length === 3;
    // The first refusal holds back every call that has not begun.
    const refuse = () => model.until(areAsked).then(() => ({ status: 503, headers: { 'retry-after': '600' } }));
    const run = await story.start({ execute: refuse });
    await model.until(areAsked);
    await run.cancel();
    await expectCancelled(run);
    expect(model.callsFor('execute')).toHaveLength(3);
  });

  test('with what was done so far kept', async () => {
    const run = await story.start({
      dependencies: { T2: ['T1'], T3: ['T2'] },
      execute: ({ task_id }) => (task_id === 'T2' ? callsHang() : undefined),
    });
    await run.until(({ tasks }) => tasks[1]?.status === 'running');
    await run.cancel();
    const { tasks } = await expectCancelled(run);
    expect(tasks.map(({ status, output }) => [status, output])).toEqual([
      ['completed', 'Output of T1.'],
      ['cancelled', null],
      ['cancelled', null],
    ]);
  });

  test('twice, with the same answer', async () => {
    const run = await story.start({}, { ask_me_about: ['the budget'] });
    await run.untilWaiting('T1');
    const [first, second] = [await run.cancel(), await run.cancel()];
    expect(first.status).toBe(200);
    expect(second).toMatchObject({ status: 200, body: first.body });
    await expectCancelled(run);
    expect(await run.cancel()).toMatchObject({ status: 200, body: first.body });
  });
});

test('a run that no worker has taken yet is cancelled, and stays so when a worker comes', async () => {
  const { orchflow, user, model, provider_id } = story;
  scriptRun(model);
  await orchflow.stopWorker();
  const run = await user.startRun({ task: goal, provider_id });
  expect(await run.cancel()).toMatchObject({ status: 200 });
  expect(await run.get()).toMatchObject({ status: 'cancelled' });
  await orchflow.startWorker();
  await expectCancelled(run);
  expect(model.calls).toEqual([]);
});

test('no model is paid for a run that was cancelled before Temporal could be told of it', async () => {
  const { orchflow, user, model, provider_id } = story;
  const { db, client } = orchflow;
  await orchflow.stopWorker();
  scriptRun(model);
  const run = await user.startRun({ task: goal, provider_id });
  const outbox = db.selectFrom('outbox').selectAll().where('run_id', '=', run.run_id);
  await until(async () => !(await outbox.executeTakeFirst()), 'Temporal has the start');

  // As an API that dies after its commit leaves it.
  const account_id = (await getAccountOf(db, run.run_id))!;
  await cancelRun(db, account_id, run.run_id, { by: actor });
  await orchflow.startWorker();
  const handle = client.workflow.getHandle(run.run_id);
  await until(async () => {
    const { events } = await handle.fetchHistory();
    return events!.some((event) => event.activityTaskStartedEventAttributes) || (await isAtWork(handle));
  }, 'the worker is at work');
  await db
    .updateTable('outbox')
    .set({ next_attempt_at: new Date().toISOString() })
    .where('run_id', '=', run.run_id)
    .execute();

  expect((await expectCancelled(run)).tasks).toEqual([]);
  expect(model.calls).toEqual([]);
});

test('a run that has ended cannot be cancelled', async () => {
  const completed = await story.start({});
  const { final_output } = await completed.until('completed');
  expectProblem(await completed.cancel(), { status: 409, code: 'RUN_FINISHED', run_status: 'completed' });
  expect(await completed.get()).toMatchObject({ status: 'completed', final_output });

  const failed = await story.start({}, { max_tokens: 1, on_budget: 'fail' });
  await failed.until('failed');
  expectProblem(await failed.cancel(), { status: 409, code: 'RUN_FINISHED', run_status: 'failed' });
});

test('of an answer and a cancellation at once, both are told the truth, and the run ends cancelled', async () => {
  for (let round = 0; round < 5; round += 1) {
    const run = await story.start({ execute: callsHang }, { ask_me_about: ['the budget'] });
    await run.untilWaiting('T1');
    const requests = [() => run.complete('T1', { output: 'Ten euros.' }), () => run.cancel()];
    // Either may come first.
    if (round % 2) requests.reverse();
    const answers = await Promise.all(requests.map((request) => request()));
    if (round % 2) answers.reverse();
    const [completed, cancelled] = answers;

    expect(cancelled!.status).toBe(200);
    const { gate } = (await expectCancelled(run)).tasks[0]!;
    const isTaken = completed!.status === 200;
    expect(isTaken || completed!.status === 409).toBe(true);
    expect(gate).toMatchObject(
      isTaken ? { status: 'answered', decision: 'approve' } : { status: 'closed', decision: null },
    );
  }
});

test('an operator can cancel a run in Temporal: its readers and its webhook hear of it', async () => {
  const endpoint = await startFakeWebhook();
  const run = await story.start({ execute: callsHang }, { webhook_url: endpoint.url });
  await story.model.until(() => story.model.openCalls === 3);
  await story.orchflow.client.workflow.getHandle(run.run_id).cancel();
  await run.until('cancelled');
  const { payload } = await endpoint.untilReceived('cancelled');
  expect(payload).toEqual({ run_id: run.run_id, event: 'cancelled', waiting_tasks: [] });
  await story.model.untilHungUp();
  await expectCancelled(run);
  expect(await run.cancel()).toMatchObject({ status: 200 });
  await endpoint.close();
});
