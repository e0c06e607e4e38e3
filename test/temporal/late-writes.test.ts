import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startFakeModel, type FakeModel } from '../fakes/model.ts';
import { startOrchflow, until, type Orchflow } from '../harness/orchflow.ts';
import { killProcesses, startWorkerHere, startWorkerProcess } from '../harness/processes.ts';
import { replayHistories } from '../harness/replay.ts';
import { scriptRun } from '../harness/script.ts';
import { untilBlocked } from '../harness/rows.ts';

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
    await untilBlocked(orchflow.db, 'a reminder is being written');
    const length = await lengthOfHistory();
    // The SDK ends the workflow task without it and begins another, before the server calls it lost.
    await until(async () => (await lengthOfHistory()) > length, 'the next workflow task');
    await worker.kill();
  });

  // It reaches the next worker in the workflow task in which the write is made again.
  expect(await run.complete('T1', { output: 'Dry.' })).toMatchObject({ status: 200 });
  await startWorkerHere(orchflow.env);
  await run.until('completed');
  await replayHistories(orchflow);
});

describe('a write of a run that comes late', () => {
  beforeAll(async () => {
    const { db } = orchflow;
    await sql`alter function save_progress(text, jsonb) rename to save_progress_now`.execute(db);
    // Those that ride in other statements are not late.
    await sql`create function save_progress(for_run text, progress jsonb) returns text language plpgsql as $$
      begin
        if current_query() like 'select save_progress(%' then perform pg_sleep(3); end if;
        return save_progress_now(for_run, progress);
      end $$`.execute(db);
  });

  const isLate = sql`select from pg_stat_activity where query like 'select save_progress(%' and state = 'active'
    and datname = current_database()`;

  test('later than the end of its run: what it would have said is there all the same', async () => {
    const user = await orchflow.register();
    const first = Promise.withResolvers<undefined>();
    scriptRun(model, {
      plan: ['Research', 'Compare', 'Estimate'],
      dependencies: {},
      execute: ({ task_id }) => (task_id === 'T1' ? undefined : first.promise),
    });
    await startWorkerHere(orchflow.env);
    const run = await user.startRun({ task: 'Launch a newsletter', provider_id: await user.addProvider(model) });
    await until(async () => (await isLate.execute(orchflow.db)).rows.length > 0, 'the end of T1 is being written');
    first.resolve(undefined);
    const done = await run.until('completed');
    const completed = { status: 'completed', evaluation: { passed: true } };
    expect(done.tasks).toMatchObject([completed, completed, completed]);
  });

  test('with the gate of a task beside others that are under way: the run waits for a person meanwhile', async () => {
    const user = await orchflow.register();
    const others = Promise.withResolvers<undefined>();
    scriptRun(model, {
      plan: ['Legal approval', 'Research', 'Compare'],
      dependencies: {},
      execute: () => others.promise,
    });
    await startWorkerHere(orchflow.env);
    const run = await user.startRun({
      task: 'Launch a newsletter',
      human_gates: ['legal approval'],
      provider_id: await user.addProvider(model),
    });
    expect(await run.untilWaiting('T1')).toMatchObject({ status: 'waiting_human' });
    await until(async () => (await isLate.execute(orchflow.db)).rows.length === 0, 'the late write is there too');
    expect(await run.get()).toMatchObject({ status: 'waiting_human', waiting_tasks: ['T1'] });
    others.resolve(undefined);
    await run.cancel();
  });
});
