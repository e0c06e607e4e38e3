import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { createDb } from '../../db/index.ts';
import { migrateToLatest } from '../../db/migrate.ts';
import { startPostgres } from '../../src/embedded/postgres.ts';
import { killRecorded } from '../../src/embedded/processes.ts';
import { findTemporal, startTemporal } from '../../src/embedded/temporal.ts';
import type { Answer, TestRun, User } from '../harness/client.ts';
import { startFakeModel, type FakeModel } from '../fakes/model.ts';
import { createEnvironment, until } from '../harness/orchflow.ts';
import { endProcesses, killProcesses, promptly, startApiProcess, startWorkerHere } from '../harness/processes.ts';
import { scriptRun } from '../harness/script.ts';
import { canMount, startSmallDisk } from '../harness/small-disk.ts';

/** A server has no room left on its disk, and then it has. What ends of it is started again, as `npm start` does. */

let dir: string;
let model: FakeModel;
const pidFile = () => path.join(dir, 'pid.json');
const report = () => {};

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'orchflow-disk-'));
  process.once('exit', () => killRecorded(pidFile()));
});
afterAll(() => rm(dir, { recursive: true, force: true }));
beforeEach(async () => {
  model = await startFakeModel();
});
afterEach(() => endProcesses(model));

/** Starts it again whenever it ends by itself, until it is told to stop. */
async function keepAlive<T extends { exited: Promise<string>; stop(): Promise<void> }>(start: () => Promise<T>) {
  let isStopping = false;
  let server = await start();
  const first = server;
  const kept = (async () => {
    for (;;) {
      await server.exited;
      if (isStopping) return;
      // While there is no room it may not be able to start.
      server = await start().catch(() => server);
    }
  })();
  return {
    server: first,
    async stop() {
      isStopping = true;
      await server.stop();
      await kept;
    },
  };
}

const goal = `Launch a newsletter. ${'x'.repeat(10_000)}`;

async function startWaiting(user: User, provider_id: string): Promise<TestRun> {
  const run = await user.startRun({ task: goal, ask_me_about: ['brand voice'], provider_id });
  await run.untilWaiting('T1');
  return run;
}

/** Starts runs until that is no use any more. Returns those that were accepted, and all answers. */
async function startRuns(user: User, provider_id: string, isEnough: (answer: Answer) => boolean | Promise<boolean>) {
  const answers: Answer[] = [];
  do answers.push(await promptly(user.post('/runs', { task: goal, provider_id })));
  while (!(await isEnough(answers.at(-1)!)));
  const accepted = answers.filter(({ status }) => status === 201).map(({ body }) => user.openRun(body.run_id));
  return { accepted, statuses: new Set(answers.map(({ status }) => status)) };
}

test.skipIf(!canMount())(
  "while Temporal's disk is full, starts and answers are taken and reads work; all is done when there is room",
  async () => {
    const answers = Promise.withResolvers<undefined>();
    scriptRun(model, { execute: ({ run_marker }) => (run_marker === 'busy' ? answers.promise : undefined) });
    const place = await mkdtemp(path.join(dir, 'temporal-'));
    const disk = await startSmallDisk(place, { megabytes: 64 });
    const binary = disk.enter(path.join(dir, 'temporal'), await findTemporal({ report }));
    const files = { dbFile: path.join(place, 'temporal.db'), logFile: path.join(dir, 'temporal.log') };
    const options = { binary, ...files, pidFile: pidFile(), headless: true, report };
    let port: number | undefined;
    const temporal = await keepAlive(() => startTemporal({ ...options, port }));
    const { address } = temporal.server;
    port = temporal.server.port;
    const env = await createEnvironment({ TEMPORAL_ADDRESS: address });
    const db = createDb(env.DATABASE_URL!, 2);
    const [api] = await Promise.all([startApiProcess(env), startWorkerHere(env)]);
    const user = await api.register();
    const provider_id = await user.addProvider(model);
    const [waiting, cancelled] = await Promise.all([startWaiting(user, provider_id), startWaiting(user, provider_id)]);
    const busy = await user.startRun({ task: 'Launch a newsletter [run:busy]', provider_id });
    await model.until(() => model.openCalls === 3, 'three calls in flight');

    disk.fill();
    answers.resolve(undefined);
    const isStuck = async ({ body }: Answer) => {
      const entry = db.selectFrom('outbox').select('attempts').where('run_id', '=', body.run_id);
      let attempts: number | undefined;
      const isTried = async () => {
        attempts = (await entry.executeTakeFirst())?.attempts;
        return attempts !== 0;
      };
      await until(isTried, 'Temporal was asked');
      return attempts !== undefined;
    };
    const { accepted, statuses } = await startRuns(user, provider_id, isStuck);
    expect(statuses).toEqual(new Set([201]));
    expect(await promptly(waiting.complete('T1', { output: 'Dry.' }))).toMatchObject({ status: 200 });
    expect(await promptly(cancelled.cancel())).toMatchObject({ status: 200 });
    for (const read of ['/runs', `/runs/${waiting.run_id}`]) {
      expect(await promptly(user.get(read)), read).toMatchObject({ status: 200 });
    }

    disk.free();
    await Promise.all([waiting, busy, ...accepted].map((run) => run.until('completed')));
    expect((await waiting.get()).tasks[0]).toMatchObject({ output: 'Dry.' });
    expect(await cancelled.get()).toMatchObject({ status: 'cancelled' });
    await until(async () => (await db.selectFrom('outbox').selectAll().execute()).length === 0, 'the outbox is empty');
    expect((await user.get('/runs?limit=100')).body.runs).toHaveLength(3 + accepted.length);
    expect(model.calls).toHaveLength(2 + 9 * (2 + accepted.length));
    await killProcesses();
    await Promise.all([temporal.stop(), db.destroy()]);
    await disk.close();
  },
);

/** As whom `startPostgres` runs it when we are root. */
function findOwner(): string {
  return ['postgres', 'nobody'].find((name) => {
    try {
      return execFileSync('id', ['-u', name], { stdio: 'pipe' });
    } catch {
      return false;
    }
  })!;
}

test.skipIf(!canMount())(
  "while Postgres' disk is full, requests are refused with 503 and nothing that was acknowledged is lost",
  async () => {
    scriptRun(model);
    const disk = await startSmallDisk(await mkdtemp(path.join(dir, 'postgres-')), {
      megabytes: 160,
      owner: findOwner(),
    });
    const settings = { fsync: 'off', max_wal_size: '32MB', min_wal_size: '32MB' };
    const options = { dataDir: path.join(disk.outside, 'postgres'), logFile: path.join(dir, 'postgres.log') };
    const postgres = await keepAlive(() => startPostgres({ ...options, settings, pidFile: pidFile(), report }));
    const { url } = postgres.server;
    const db = createDb(url, 1);
    await migrateToLatest(db).finally(() => db.destroy());
    const env = await createEnvironment({ DATABASE_URL: url });
    const [api] = await Promise.all([startApiProcess(env), startWorkerHere(env)]);
    const user = await api.register();
    const provider_id = await user.addProvider(model);
    const waiting = await startWaiting(user, provider_id);

    disk.fill();
    const { accepted, statuses } = await startRuns(user, provider_id, ({ status }) => status !== 201);
    expect([...statuses]).toEqual(accepted.length ? [201, 503] : [503]);
    const answered = await promptly(waiting.complete('T1', { output: 'y'.repeat(50_000) }));
    expect([200, 503]).toContain(answered.status);
    expect([200, 503]).toContain((await promptly(user.get('/runs'))).status);

    disk.free();
    await until(async () => (await user.get('/runs')).status === 200, 'it serves again');
    if (answered.status === 503) {
      expect(await waiting.get()).toMatchObject({ status: 'waiting_human', waiting_tasks: ['T1'] });
      await waiting.complete('T1', { output: 'Dry.' });
    }
    await Promise.all([waiting, ...accepted].map((run) => run.until('completed')));
    expect((await user.get('/runs?limit=100')).body.runs).toHaveLength(1 + accepted.length);
    expect(model.calls).toHaveLength(9 * (1 + accepted.length));
    await killProcesses();
    await postgres.stop();
    await disk.close();
  },
);
