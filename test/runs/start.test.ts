import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { findRunView } from '../../db/run-views.ts';
import { insertRun } from '../../db/run-starts.ts';
import type { Run } from '../../db/schema.ts';
import { loadConfig } from '../../src/config.ts';
import { newId } from '../../src/ids.ts';
import { startGoal } from '../../src/runs/goals.ts';
import { startWorkerDeps } from '../../src/worker-deps.ts';
import { actor } from '../harness/actor.ts';
import { createEnvironment, until } from '../harness/orchflow.ts';
import { killProcesses, startApiProcess, startWorkerHere } from '../harness/processes.ts';

/** Runs are started by what an activity has: no API is there. */

afterEach(killProcesses);

const goal = {
  task: 'Launch a newsletter',
  agents: [],
  human_gates: [],
  ask_me_about: [],
  fallback_provider_ids: [],
  require_approval: false,
};

async function setUp() {
  const env = await createEnvironment();
  const api = await startApiProcess(env);
  await api.register();
  await api.kill();
  const config = loadConfig(env);
  const { deps, close: stop } = startWorkerDeps({ config, log: pino({ level: 'silent' }) });
  const [principal] = await deps.db
    .selectFrom('api_keys')
    .select(['account_id', 'key_id', 'name as key_name', 'scopes', 'person_id', 'mode'])
    .execute();
  return {
    env,
    deps,
    principal: principal!,
    find: (run_id: string) =>
      deps.db.selectFrom('runs').selectAll().where('run_id', '=', run_id).executeTakeFirstOrThrow(),
    stop,
  };
}

function untilCompleted(find: (run_id: string) => Promise<Run>, run_id: string): Promise<void> {
  return until(async () => (await find(run_id)).status === 'completed', 'the run completes');
}

test('a run that a worker starts is brought to Temporal by it, and says of what kind it is and who started it', async () => {
  const { env, deps, principal, find, stop } = await setUp();
  await startWorkerHere(env);
  const run_id = await startGoal(deps, principal, goal, undefined);
  await untilCompleted(find, run_id);
  const { account_id, key_id } = principal;
  expect(await find(run_id)).toMatchObject({ account_id, kind: 'goal', origin: 'orchflow', started_by: key_id });
  expect(JSON.parse((await findRunView(deps.db, account_id, run_id))!)).toMatchObject({
    status: 'completed',
    final_output: expect.stringMatching(/\S/),
  });

  await expect(startGoal(deps, principal, { ...goal, provider_id: 'prv_unknown' }, undefined)).rejects.toMatchObject({
    faults: [{ path: ['provider_id'] }],
  });
  await stop();
});

test('a run whose starter died right after its commit is brought to Temporal by any worker', async () => {
  const { env, deps, principal, find, stop } = await setUp();
  const run = {
    run_id: newId('run'),
    account_id: principal.account_id,
    task: goal.task,
    agents: JSON.stringify([{ name: 'research', system_prompt: 'Research.', model: null, provider_id: null }]),
    human_gates: '[]',
    ask_me_about: '[]',
    require_approval: false,
    by: actor,
  };
  // Whoever commits an entry has ten seconds for it; nobody here ever sends this one.
  await insertRun(deps.db, run, { monthly: 0, unfinished: 10 });
  await startWorkerHere(env);
  await untilCompleted(find, run.run_id);
  await stop();
});
