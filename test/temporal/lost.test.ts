import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startFakeModel } from '../fakes/model.ts';
import { startFakeWebhook } from '../fakes/webhook.ts';
import { startOrchflow, until, type Orchflow } from '../harness/orchflow.ts';
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
