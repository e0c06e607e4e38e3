import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { startFakeModel, type FakeModel } from '../fakes/model.ts';
import { startOrchflow, until, type Orchflow } from '../harness/orchflow.ts';
import { killProcesses, startWorkerProcess } from '../harness/processes.ts';
import { replayHistories } from '../harness/replay.ts';
import { scriptRun } from '../harness/script.ts';

let orchflow: Orchflow;
let model: FakeModel;

beforeAll(async () => {
  [orchflow, model] = await Promise.all([startOrchflow({ worker: false }), startFakeModel()]);
});
afterEach(killProcesses);
afterAll(async () => {
  await orchflow.stop();
  await model.close();
  model.assertNothingUnscripted();
});

test('a worker that dies with a write that has outlasted its workflow task: the run goes on, and replays as it went', async () => {
  scriptRun(model);
  const [user, worker] = await Promise.all([orchflow.register(), startWorkerProcess(orchflow.env)]);
  const run = await user.startRun({
    task: 'Launch a newsletter',
    ask_me_about: ['brand voice'],
    remind_every: '1s',
    provider_id: await user.addProvider(model),
  });
  await run.untilWaiting('T1');
  const handle = orchflow.client.workflow.getHandle(run.run_id);
  const lengthOfHistory = async () => (await handle.describe()).historyLength;
  await orchflow.db.transaction().execute(async (lock) => {
    await sql`lock table gates in share mode`.execute(lock);
    const isBlocked = sql`
      select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`;
    await until(async () => (await isBlocked.execute(orchflow.db)).rows.length > 0, 'a reminder is being written');
    const length = await lengthOfHistory();
    // The SDK ends the workflow task without it and begins another, before the server calls it lost.
    await until(async () => (await lengthOfHistory()) > length, 'the next workflow task');
    await worker.kill();
  });

  // It reaches the next worker in the workflow task in which the write is made again.
  expect(await run.complete('T1', { output: 'Dry.' })).toMatchObject({ status: 200 });
  await startWorkerProcess(orchflow.env);
  await run.until('completed');
  await replayHistories(orchflow);
});
