import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { createDb } from '../../db/index.ts';
import { migrateToLatest } from '../../db/migrate.ts';
import { startPostgres, type Postgres } from '../../src/embedded/postgres.ts';
import { killRecorded } from '../../src/embedded/processes.ts';
import { askedAgain } from '../harness/asked.ts';
import { assertNothingLeaked } from '../harness/canaries.ts';
import type { Answer } from '../harness/client.ts';
import { startFakeModel, type FakeModel } from '../fakes/model.ts';
import { createEnvironment, until } from '../harness/orchflow.ts';
import { endProcesses, promptly, startApiProcess, startWorkerHere, startWorkerProcess } from '../harness/processes.ts';
import { startProxy } from '../harness/proxy.ts';
import { send } from '../harness/raw.ts';
import { scriptRun } from '../harness/script.ts';
import { filePart, formOf } from '../harness/upload.ts';

/** Postgres goes away and comes back. It is this file's own, and so are all processes. */

let dir: string;
let postgres: Postgres;
let env: Record<string, string>;
let model: FakeModel;

function start() {
  const dataDir = path.join(dir, 'postgres');
  return startPostgres({ dataDir, pidFile: path.join(dir, 'pid.json'), settings: { fsync: 'off' }, report: () => {} });
}

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'orchflow-outage-'));
  process.once('exit', () => killRecorded(path.join(dir, 'pid.json')));
  postgres = await start();
  env = await createEnvironment({ DATABASE_URL: postgres.url });
  const db = createDb(postgres.url, 1);
  await migrateToLatest(db).finally(() => db.destroy());
});
afterAll(async () => {
  await assertNothingLeaked(env, await readFile(path.join(dir, 'postgres', 'postgres.log'), 'utf8'));
  await postgres.stop();
  await rm(dir, { recursive: true, force: true });
});
beforeEach(async () => {
  model = await startFakeModel();
});
afterEach(() => endProcesses(model));

async function killPostgres() {
  process.kill(postgres.pid, 'SIGKILL');
  await postgres.exited;
}

test('while Postgres is down every request is a 503 that says when to come back, and then all is as it was', async () => {
  scriptRun(model);
  const [api] = await Promise.all([startApiProcess(env), startWorkerHere(env)]);
  const user = await api.register();
  const provider_id = await user.addProvider(model);
  const run = await user.startRun({ task: 'Launch a newsletter', ask_me_about: ['brand voice'], provider_id });
  await run.untilWaiting('T1');
  await postgres.stop();

  const goal = { task: 'Launch a newsletter', provider_id };
  for (const ask of [() => user.get('/runs'), () => user.post('/runs', goal), run.cancel]) {
    const answer = await promptly(ask());
    expect(answer).toMatchObject({ status: 503, body: { code: 'UNAVAILABLE', status: 503 } });
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
  }
  expect(await promptly(api.health())).toMatchObject({
    status: 503,
    body: { status: 'down', database: { status: 'down' } },
  });

  postgres = await start();
  expect(await user.get('/runs')).toMatchObject({
    status: 200,
    body: { runs: [{ run_id: run.run_id, status: 'waiting_human' }] },
  });
  await run.complete('T1', { output: 'Dry.' });
  await run.until('completed');
});

test('a worker outlives Postgres: an answer that comes meanwhile is held, and the run goes on', async () => {
  const answers = Promise.withResolvers<undefined>();
  scriptRun(model, { execute: () => answers.promise });
  const [api, worker] = await Promise.all([startApiProcess(env), startWorkerProcess(env)]);
  const user = await api.register();
  const run = await user.startRun({ task: 'Launch a newsletter', provider_id: await user.addProvider(model) });
  await model.until(() => model.openCalls === 3, 'three calls in flight');
  await killPostgres();
  answers.resolve(undefined);
  await model.until(() => model.openCalls === 0, 'all are answered');

  postgres = await start();
  await run.until('completed');
  expect(askedAgain(model)).toEqual([]);
  expect(worker.isRunning(), worker.log()).toBe(true);
});

test('Postgres ends in the middle of a transaction: the API lives, nothing was changed, and the answer can be given again', async () => {
  scriptRun(model);
  const [api] = await Promise.all([startApiProcess(env), startWorkerHere(env)]);
  const user = await api.register();
  const provider_id = await user.addProvider(model);
  const run = await user.startRun({ task: 'Launch a newsletter', ask_me_about: ['brand voice'], provider_id });
  await run.untilWaiting('T1');

  const db = createDb(postgres.url, 2);
  // Who waits for a row waits for the transaction that has it.
  const blocked = sql`
    select from pg_stat_activity where wait_event_type = 'Lock' and wait_event = 'transactionid'`;
  const { promise: answering, resolve } = Promise.withResolvers<Promise<Answer>>();
  const locking = db.transaction().execute(async (lock) => {
    await sql`select from gates where run_id = ${run.run_id} for update`.execute(lock);
    resolve(run.complete('T1', { output: 'Dry.' }));
    await until(async () => (await blocked.execute(db)).rows.length > 0, 'the answer waits inside its transaction');
    // All its backends at once: asked to stop, the one that holds the lock may end first, and the answer is taken.
    process.kill(postgres.pid, 'SIGQUIT');
    await postgres.exited;
  });
  await expect(locking).rejects.toThrow();
  expect(await answering).toMatchObject({ status: 503, body: { code: 'UNAVAILABLE' } });
  await db.destroy();

  postgres = await start();
  expect(await run.complete('T1', { output: 'Dry.' })).toMatchObject({ status: 200 });
  expect((await run.until('completed')).tasks[0]).toMatchObject({ output: 'Dry.' });
  expect(api.isRunning(), api.log()).toBe(true);
});

test('what was acknowledged is there after Postgres was killed under many writers, and no answer was a 500', async () => {
  scriptRun(model);
  const api = await startApiProcess(env);
  const user = await api.register();
  const provider_id = await user.addProvider(model);
  const answers: Answer[] = [];
  const writers = Array.from({ length: 20 }, async () => {
    while (!answers.some(({ status }) => status !== 201)) {
      answers.push(await user.post('/runs', { task: 'Launch a newsletter', provider_id }));
    }
  });
  await until(() => answers.length > 50, 'the writers are at work');
  await killPostgres();
  await Promise.all(writers);
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201, 503]));
  expect(api.isRunning(), api.log()).toBe(true);

  postgres = await start();
  const acknowledged = answers.filter(({ status }) => status === 201);
  for (const { body } of acknowledged) expect(await user.get(`/runs/${body.run_id}`)).toMatchObject({ status: 200 });
});

test('while Postgres is silent no request hangs; what was sent into the silence is done once when it is over', async () => {
  scriptRun(model);
  const proxy = await startProxy(postgres.port);
  const through = Object.assign(new URL(postgres.url), { port: String(proxy.port) }).href;
  const [api] = await Promise.all([startApiProcess({ ...env, DATABASE_URL: through }), startWorkerHere(env)]);
  const user = await api.register();
  const provider_id = await user.addProvider(model);
  const goal = JSON.stringify({ task: 'Launch a newsletter', provider_id });
  const headers = { 'x-api-key': user.api_key, 'content-type': 'application/json', 'idempotency-key': 'once' };
  const post = () => send(api.url, 'POST', '/api/v1/runs', headers, goal);
  await Promise.all(Array.from({ length: 5 }, () => user.get('/runs')));

  proxy.silence();
  const answers = await Promise.all([user.get('/runs'), user.post('/runs', goal), post()].map(promptly));
  expect(answers.map(({ status, body }) => [status, body.code])).toEqual(Array(3).fill([503, 'UNAVAILABLE']));
  expect(await promptly(api.health())).toMatchObject({ status: 503, body: { database: { status: 'down' } } });
  proxy.heal();

  let answer = await post();
  await until(async () => (answer = await post()).status !== 409, 'the first try is over');
  expect(answer).toMatchObject({ status: 201 });
  await user.openRun(answer.body.run_id).until('completed');
  const { runs } = (await user.get('/runs')).body;
  expect(runs.filter(({ run_id }: { run_id: string }) => run_id === answer.body.run_id)).toHaveLength(1);
  expect(api.isRunning(), api.log()).toBe(true);
  proxy.close();
});

test('a file that comes while Postgres is silent is a 503 in time, and nothing is left of it', async () => {
  const proxy = await startProxy(postgres.port);
  const through = Object.assign(new URL(postgres.url), { port: String(proxy.port) }).href;
  const api = await startApiProcess({ ...env, DATABASE_URL: through });
  const user = await api.register();
  const came = Promise.withResolvers<void>();
  const { body, headers } = formOf(filePart('The second half comes late.'));
  async function* inHalves() {
    yield Buffer.from(body.slice(0, 150));
    came.resolve();
    await untilSilent.promise;
    yield Buffer.from(body.slice(150));
  }
  const untilSilent = Promise.withResolvers<void>();
  const sent = send(
    api.url,
    'POST',
    '/api/v1/files',
    { 'x-api-key': user.api_key, ...headers },
    ReadableStream.from(inHalves()),
  );
  await came.promise;
  // The key, and whether there is room, are looked up by then.
  await until(
    async () => (await readdir(path.join(env.FILES_DIR!, 'incoming')).catch(() => [])).length > 0,
    'it comes',
  );
  proxy.silence();
  const asked = performance.now();
  untilSilent.resolve();
  expect(await sent).toMatchObject({ status: 503, body: { code: 'UNAVAILABLE' } });
  // By the client's clock, for what an answer says of itself leaves out the time of its body. A query is given up after 12 s.
  expect(performance.now() - asked).toBeLessThan(8_000);
  proxy.heal();
  await until(async () => (await readdir(path.join(env.FILES_DIR!, 'incoming'))).length === 0, 'nothing is left');
  proxy.close();
});

test('more requests than there are connections: 503 in time for those that cannot be served, and no harm done', async () => {
  const api = await startApiProcess({ ...env, DATABASE_POOL_SIZE: '2' });
  const user = await api.register();
  const db = createDb(postgres.url, 1);
  await db.transaction().execute(async (lock) => {
    await sql`lock table runs in access exclusive mode`.execute(lock);
    const answers = await Promise.all(Array.from({ length: 20 }, () => promptly(user.get('/runs'))));
    expect(answers.map(({ status, body }) => [status, body.code])).toEqual(Array(20).fill([503, 'UNAVAILABLE']));
  });
  await db.destroy();
  let answer = await user.get('/runs');
  await until(async () => (answer = await user.get('/runs')).status === 200, 'it serves again');
  expect(answer.body.runs).toEqual([]);
});
