import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startFakeModel } from '../fakes/model.ts';
import { startFakeWebhook } from '../fakes/webhook.ts';
import { startOrchflow, until, type Orchflow, type TestRun } from '../harness/orchflow.ts';
import { startSteps } from '../harness/orchestration.ts';
import { scriptRun } from '../harness/script.ts';

let orchflow: Orchflow;
beforeAll(async () => {
  orchflow = await startOrchflow();
});
afterAll(() => orchflow.stop());

test('a run that an operator terminates in Temporal is failed for its readers, and its webhook hears of it', async () => {
  const [user, model, receiver] = await Promise.all([orchflow.register(), startFakeModel(), startFakeWebhook()]);
  scriptRun(model);
  const provider_id = await user.addProvider(model);
  const run = await user.startRun({
    task: 'Wait for me.',
    ask_me_about: ['x'],
    provider_id,
    webhook_url: receiver.url,
  });
  await run.untilWaiting('T1');

  await orchflow.client.workflow.getHandle(run.run_id).terminate('not wanted any more');
  const failed = await run.until('failed');

  expect(failed.error).toContain('terminated');
  expect(failed).toMatchObject({
    waiting_tasks: [],
    tasks: [{ status: 'skipped', gate: { status: 'closed' } }, {}, {}, {}],
  });
  expect((await run.complete('T1', { output: 'Too late.' })).status).toBe(409);
  await until(() => receiver.requests.some((request) => request.body.includes('"failed"')), 'the webhook was called');
  await Promise.all([model.close(), receiver.down()]);
});

test('one that is tried again and is lost again is told again', async () => {
  const [user, receiver] = await Promise.all([orchflow.register(), startFakeWebhook()]);
  const paused = await startSteps(user, [{ id: 'ask', type: 'human' }], { webhook_url: receiver.url });
  const run = user.openRun(paused.body.run_id);
  const told = (event: string) => receiver.requests.filter(({ payload }) => payload.event === event).length;
  for (let attempt = 1; attempt <= 2; attempt += 1) {
    if (attempt > 1) await user.post(`/orchestrations/runs/${run.run_id}/retry`, undefined);
    // A workflow that is ended amid its task has not begun what it is about to tell.
    await until(() => told('waiting_human') === attempt, `pause ${attempt} is told`);
    await orchflow.client.workflow.getHandle(run.run_id).terminate('not wanted any more');
    await run.until('failed');
    await until(() => told('failed') === attempt, `failure ${attempt} is told`);
  }
  const events = orchflow.db.selectFrom('run_events').select('data').where('run_id', '=', run.run_id);
  const failed = await events.where('type', '=', 'run.failed').orderBy('seq').execute();
  expect(failed.map(({ data }) => data.attempt)).toEqual([undefined, 2]);
  expect(receiver.requests).toHaveLength(4);
  await receiver.close();
});

test('one of which Temporal has yet to be told something is not lost: it may be begun again', async () => {
  const user = await orchflow.register();
  const runs = await Promise.all(
    [1, 2, 3].map(async () => user.openRun((await startSteps(user, [{ id: 'ask', type: 'human' }], {})).body.run_id)),
  );
  const [untold, ...lost] = runs as [TestRun, TestRun, TestRun];
  const later = sql<string>`now() + interval '1 hour'`;
  const message = JSON.stringify({ kind: 'start' });
  await orchflow.db.insertInto('outbox').values({ run_id: untold.run_id, message, next_attempt_at: later }).execute();
  const terminate = ({ run_id }: TestRun) => orchflow.client.workflow.getHandle(run_id).terminate('By a test.');
  await terminate(untold);
  // Each of these is found by a look that comes after.
  for (const run of lost) {
    await terminate(run);
    await run.until('failed');
  }
  expect((await untold.get()).status).toBe('waiting_human');
  await orchflow.db.deleteFrom('outbox').where('run_id', '=', untold.run_id).execute();
  await untold.until('failed');
});

test('a cancellation that has not come through to Temporal is told again', async () => {
  const [user, model] = await Promise.all([orchflow.register(), startFakeModel()]);
  scriptRun(model);
  const provider_id = await user.addProvider(model);
  const run = await user.startRun({ task: 'Wait for me.', ask_me_about: ['x'], provider_id });
  await run.untilWaiting('T1');

  // As when the outbox had sent it, and it was lost on the other side.
  await orchflow.db
    .updateTable('runs')
    .set({ status: 'cancelled', completed_at: sql`now()` })
    .where('run_id', '=', run.run_id)
    .execute();

  const handle = orchflow.client.workflow.getHandle(run.run_id);
  await until(async () => (await handle.describe()).status.name === 'CANCELLED', 'Temporal has cancelled it');
  await model.close();
});

test('a run that begins with more than Temporal takes is failed for its readers, and not tried for ever', async () => {
  const user = await orchflow.register();
  const steps = [{ id: 'say', type: 'print', print_content: 'Hello.' }];
  const { run_id } = (await startSteps(user, steps, { start_in: '1d' })).body;
  const keys = Array.from({ length: 10_000 }, (_unused, n) => [`key${n}`, { text: `${run_id}/${'x'.repeat(250)}` }]);
  const shared_state = JSON.stringify(Object.fromEntries(keys));
  await orchflow.db.updateTable('runs').set({ shared_state }).where('run_id', '=', run_id).execute();
  expect((await user.patch(`/runs/${run_id}`, { start_in: '1s' })).status).toBe(200);
  const run = user.openRun(run_id);
  expect((await run.until('failed')).error).toMatch(/more than the 2 MB/);
  const untold = orchflow.db.selectFrom('outbox').select('outbox_id').where('run_id', '=', run_id);
  expect(await untold.execute()).toEqual([]);
});
