import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createDb, type Db } from '../../db/index.ts';
import { holdAccount } from '../../db/limits.ts';
import { beginRunsBeside } from '../../db/run-queue.ts';
import { startFakeModel, type FakeModel } from '../fakes/model.ts';
import { askedAgain } from '../harness/asked.ts';
import { createEnvironment, createUser, until, type TestRun, type User } from '../harness/orchflow.ts';
import { endProcesses, startApiProcess, startWorkerHere, startWorkerProcess } from '../harness/processes.ts';
import { startTemporalLine } from '../harness/proxy.ts';
import { scriptRun } from '../harness/script.ts';

/** Runs that wait for their time, or for a place, while what would begin them is killed. */

let env: Record<string, string>;
let db: Db;
let model: FakeModel;
let user: User;
let provider_id: string;
let api: Awaited<ReturnType<typeof startApiProcess>>;

beforeEach(async () => {
  model = await startFakeModel();
  scriptRun(model);
  env = await createEnvironment({ MAX_ACTIVE_RUNS_PER_ACCOUNT: '1' });
  db = createDb(env.DATABASE_URL!, 2);
  api = await startApiProcess(env);
  user = await api.register();
  provider_id = await user.addProvider(model);
});
afterEach(() => db.destroy().finally(() => endProcesses(model)));

const start = (name: string, more: object = {}) =>
  user.startRun({ task: `Launch a newsletter [run:${name}]`, provider_id, ...more });

/** Another API, for the same user. */
async function startApi(more: object = {}): Promise<void> {
  api = await startApiProcess({ ...env, ...more });
  user = createUser(api.url, user.api_key, user.webhook_secret, user.email);
}

const rowOf = ({ run_id }: TestRun) =>
  db.selectFrom('runs').selectAll().where('run_id', '=', run_id).executeTakeFirstOrThrow();
const isDue = async (run: TestRun) => {
  const { rows } = await sql<{
    due: boolean;
  }>`select start_at <= now() as due from runs where run_id = ${run.run_id}`.execute(db);
  return rows[0]!.due;
};
const ends = (run: TestRun) =>
  until(async () => (await rowOf(run)).status === 'completed', `${run.run_id} is completed`);

/** Each was begun once: its workflow, and no call of it was made again. */
async function expectOnce(runs: TestRun[]): Promise<void> {
  expect(askedAgain(model)).toEqual([]);
  for (const run of runs) {
    const started = db.selectFrom('run_events').select('seq').where('run_id', '=', run.run_id);
    expect(await started.where('type', '=', 'run.started').execute()).toHaveLength(1);
  }
}

test('all is killed before the time of a run has come: it begins once, as soon as a worker is there, with no API', async () => {
  const run = await start('later', { start_in: '1s' });
  await api.kill();
  await until(() => isDue(run), 'its time has come');
  expect((await rowOf(run)).queued_at).not.toBeNull();
  await startWorkerHere(env);
  await ends(run);
  await expectOnce([run]);
});

test('a process killed right after it has begun a run: another one brings that to Temporal, and none begins it again', async () => {
  const run = await start('begun', { start_in: '1d' });
  await api.kill();
  await db
    .updateTable('runs')
    .set({ queued_at: sql`now()` })
    .where('run_id', '=', run.run_id)
    .execute();
  // Whoever begins it claims the entry for ten seconds; nobody here ever sends this one.
  expect(await beginRunsBeside(db, run.run_id, 1)).toHaveLength(1);
  expect(await beginRunsBeside(db, run.run_id, 1)).toHaveLength(0);
  await startApi();
  const next = await start('next');
  await startWorkerHere(env);
  await Promise.all([ends(run), ends(next)]);
  await expectOnce([run, next]);
});

test('several processes that begin what is due at the same time begin each run once, and no more than there are places', async () => {
  const runs: TestRun[] = [];
  for (const name of ['a', 'b', 'c', 'd']) runs.push(await start(name, { start_in: '1d' }));
  await api.kill();
  const begun = (most: number) =>
    Promise.all(runs.flatMap(({ run_id }) => Array.from({ length: 5 }, () => beginRunsBeside(db, run_id, most))));
  await db
    .updateTable('runs')
    .set({ queued_at: sql`now()` })
    .where('queued_at', 'is not', null)
    .execute();
  const { account_id } = await rowOf(runs[0]!);
  await db.transaction().execute(async (trx) => {
    await holdAccount(trx, account_id!);
    expect(await beginRunsBeside(db, runs[0]!.run_id, 2)).toEqual([]);
  });
  expect((await begun(2)).flat()).toHaveLength(2);
  expect((await begun(3)).flat()).toHaveLength(1);
  expect((await begun(3)).flat()).toHaveLength(0);
});

test('while Temporal is away runs are begun when they are due, and it hears of them when it is there', async () => {
  await api.kill();
  const { line, env: cut } = await startTemporalLine(env);
  await startApi({ TEMPORAL_ADDRESS: cut.TEMPORAL_ADDRESS });
  line.cut();
  const run = await start('away', { start_in: '1s' });
  const waiting = await start('waiting', { start_in: '2s' });
  await run.until(({ pending_for }) => pending_for === null);
  await waiting.until(({ pending_for }) => pending_for === 'place');
  expect(await run.get()).toMatchObject({ status: 'pending', started_at: null });
  line.heal();
  await startWorkerHere(env);
  await Promise.all([ends(run), ends(waiting)]);
  await expectOnce([run, waiting]);
  line.close();
});

test('API and worker killed again and again: what waits begins in its order, one at a time, each once', async () => {
  const runs: TestRun[] = [];
  for (const name of ['a', 'b', 'c', 'd', 'e']) runs.push(await start(name));
  const worker = await startWorkerProcess(env);
  await ends(runs[0]!);
  await worker.kill();
  await api.kill();
  const second = await startWorkerProcess(env);
  await ends(runs[1]!);
  await second.kill();
  await startApi();
  await startWorkerHere(env);
  await Promise.all(runs.map(ends));
  const rows = await Promise.all(runs.map(rowOf));
  const began = rows.map(({ started_at }) => Date.parse(started_at!));
  expect(began).toEqual(began.toSorted((a, b) => a - b));
  for (const [index, { completed_at }] of rows.slice(0, -1).entries()) {
    expect(Date.parse(completed_at!)).toBeLessThanOrEqual(began[index + 1]!);
  }
  // A call in flight when its worker is killed is made again; a run is not begun again.
  for (const run of runs) {
    const started = db.selectFrom('run_events').select('seq').where('run_id', '=', run.run_id);
    expect(await started.where('type', '=', 'run.started').execute()).toHaveLength(1);
  }
});

test('a worker killed when it had completed a run for its readers, and had begun no other: the next run begins', async () => {
  const final = Promise.withResolvers<undefined>();
  scriptRun(model, { finalize: ({ run_marker }) => (run_marker === 'first' ? final.promise : undefined) });
  const { line, env: cut } = await startTemporalLine(env);
  const worker = await startWorkerProcess(cut);
  const first = await start('first');
  const next = await start('next');
  await model.waitForCall(({ purpose }) => purpose === 'finalize');
  expect(await next.get()).toMatchObject({ pending_for: 'place', queue_position: 1 });
  line.silence();
  final.resolve(undefined);
  await first.until('completed');
  await worker.kill();
  line.close();
  await startWorkerHere(env);
  await next.until('completed');
  await expectOnce([first, next]);
});
