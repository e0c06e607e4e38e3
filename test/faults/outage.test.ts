import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { Client, Connection } from '@temporalio/client';
import { createDb, type Db } from '../../db/index.ts';
import { killRecorded } from '../../src/embedded/processes.ts';
import { findTemporal, startTemporal, type Temporal } from '../../src/embedded/temporal.ts';
import { askedAgain, isFirst } from '../harness/asked.ts';
import { assertNothingLeaked } from '../harness/canaries.ts';
import type { TestRun, User } from '../harness/client.ts';
import { startFakeModel, type FakeModel } from '../fakes/model.ts';
import { startFakeWebhook } from '../fakes/webhook.ts';
import { createEnvironment, until } from '../harness/orchflow.ts';
import { define } from '../harness/orchestration.ts';
import { endProcesses, promptly, startApiProcess, startWorkerHere, startWorkerProcess } from '../harness/processes.ts';
import { scriptRun } from '../harness/script.ts';

/** Temporal goes away and comes back. It is this file's own, and so are all processes. */

let dir: string;
let temporal: Temporal;
let options: Parameters<typeof startTemporal>[0];
let env: Record<string, string>;
let db: Db;
let client: Client;
let model: FakeModel;

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'orchflow-outage-'));
  const pidFile = path.join(dir, 'temporal.json');
  process.once('exit', () => killRecorded(pidFile));
  options = {
    binary: await findTemporal({ report: () => {} }),
    dbFile: path.join(dir, 'temporal.db'),
    logFile: path.join(dir, 'temporal.log'),
    pidFile,
    headless: true,
    report: () => {},
    // How soon it hangs up on a client that is frozen. The default is more than a minute.
    dynamicConfig: { 'frontend.keepAliveTime': '1s', 'frontend.keepAliveTimeout': '1s' },
  };
  temporal = await startTemporal(options);
  env = await createEnvironment({ TEMPORAL_ADDRESS: temporal.address });
  db = createDb(env.DATABASE_URL!, 2);
  client = new Client({ connection: Connection.lazy({ address: temporal.address }) });
});
afterAll(async () => {
  await assertNothingLeaked(env, await readFile(options.logFile!, 'utf8'));
  await client.connection.close();
  await Promise.all([temporal.stop(), db.destroy()]);
  await rm(dir, { recursive: true, force: true });
});
beforeEach(async () => {
  model = await startFakeModel();
});
afterEach(() => endProcesses(model));

async function killTemporal() {
  process.kill(temporal.pid, 'SIGKILL');
  await temporal.exited;
}

async function startTemporalAgain() {
  temporal = await startTemporal({ ...options, port: temporal.port });
}

async function startApi(port = '0') {
  return startApiProcess({ ...env, PORT: port });
}

const waitingRun = (user: User, name: string, provider_id: string) =>
  user.startRun({ task: `Launch a newsletter [run:${name}]`, ask_me_about: ['brand voice'], provider_id });

const callsOf = (name: string) => model.calls.filter((call) => call.run_marker === name);

/** Of the runs that `askForThings` has changed: each got there, and nothing was done twice. */
async function expectAllDone({ started, answered, cancelled }: Record<'started' | 'answered' | 'cancelled', TestRun>) {
  await started.untilWaiting('T1');
  await started.complete('T1', { output: 'Dry.' });
  await started.until('completed');
  const done = await answered.until('completed');
  expect(done.tasks[0]).toMatchObject({ status: 'completed', output: 'Warm.' });
  expect(askedAgain(model)).toEqual([]);
  await until(async () => (await listOutbox()).length === 0, 'the outbox is empty');
  expect(await cancelled.get()).toMatchObject({ status: 'cancelled', waiting_tasks: [] });
  expect(callsOf('cancelled').map(({ purpose }) => purpose)).toEqual(['split', 'infer']);
  const { rows } = await sql<{ type: string }>`
    select type from run_events where run_id = ${cancelled.run_id} and type = 'run.cancelled'`.execute(db);
  expect(rows).toHaveLength(1);
}

const listOutbox = () => db.selectFrom('outbox').selectAll().execute();

test('while Temporal and every worker are down, reads answer, and starts, answers and cancels are taken and done later', async () => {
  scriptRun(model);
  const [api, worker] = await Promise.all([startApi(), startWorkerProcess(env)]);
  const user = await api.register();
  const provider_id = await user.addProvider(model);
  const [answered, cancelled] = await Promise.all([
    waitingRun(user, 'answered', provider_id),
    waitingRun(user, 'cancelled', provider_id),
  ]);
  await Promise.all([answered, cancelled].map((run) => run.untilWaiting('T1')));
  await Promise.all([worker.kill(), killTemporal()]);

  for (const read of ['/runs', `/runs/${answered.run_id}`, `/runs/${answered.run_id}/tasks`, '/providers']) {
    expect(await promptly(user.get(read)), read).toMatchObject({ status: 200 });
  }
  expect(await promptly(user.get(`/runs/${answered.run_id}?live=true`))).toMatchObject({
    status: 200,
    body: { live: null },
  });
  expect(await promptly(api.health())).toMatchObject({
    status: 200,
    body: { status: 'degraded', database: { status: 'ok' }, temporal: { status: 'down' } },
  });
  const started = await waitingRun(user, 'started', provider_id);
  expect(await promptly(answered.complete('T1', { output: 'Warm.' }))).toMatchObject({ status: 200 });
  expect(await promptly(cancelled.cancel())).toMatchObject({ status: 200, body: { status: 'cancelled' } });
  expect(await started.get()).toMatchObject({ status: 'pending', phase: 'queued' });
  expect(await answered.get()).toMatchObject({ status: 'running', waiting_tasks: [] });
  expect(await cancelled.get()).toMatchObject({ status: 'cancelled', waiting_tasks: [] });

  await startTemporalAgain();
  await startWorkerHere(env);
  await expectAllDone({ started, answered, cancelled });
  expect(await api.health()).toMatchObject({ body: { status: 'ok' } });
});

test('an API killed right after it took a start, an answer and a cancel: the next one brings each to Temporal once', async () => {
  scriptRun(model);
  const [api, worker] = await Promise.all([startApi(), startWorkerProcess(env)]);
  const user = await api.register();
  const provider_id = await user.addProvider(model);
  const [answered, cancelled] = await Promise.all([
    waitingRun(user, 'answered', provider_id),
    waitingRun(user, 'cancelled', provider_id),
  ]);
  await Promise.all([answered, cancelled].map((run) => run.untilWaiting('T1')));
  await killTemporal();
  const [started] = await Promise.all([
    waitingRun(user, 'started', provider_id),
    answered.complete('T1', { output: 'Warm.' }),
    cancelled.cancel(),
  ]);
  await api.kill();
  expect((await listOutbox()).map(({ message }) => message.kind).toSorted()).toEqual([
    'cancel',
    'complete_task',
    'start',
  ]);

  await startTemporalAgain();
  await startApi(api.port);
  await expectAllDone({ started, answered, cancelled });
  expect(worker.isRunning(), worker.log()).toBe(true);
});

test('an orchestration that is cancelled before Temporal has heard of it ends there too, and tells its webhook', async () => {
  const [api, webhook] = await Promise.all([startApi(), startFakeWebhook()]);
  const user = await api.register();
  await user.addProvider(model);
  const id = await define(user, [{ id: 'ask', type: 'human', output_key: 'ask' }]);
  await killTemporal();
  const { body } = await user.post(`/orchestrations/${id}/run?wait=0`, { message: 'Go', webhook_url: webhook.url });
  expect(await user.openRun(body.run_id).cancel()).toMatchObject({ status: 200 });
  await until(async () => (await listOutbox()).some(({ attempts }) => attempts > 0), 'the start was tried in vain');

  await startTemporalAgain();
  await startWorkerHere(env);
  await webhook.untilReceived('cancelled');
  await webhook.close();
});

test('a worker outlives Temporal: an answer that comes meanwhile is kept, and the run goes on', async () => {
  const answers = Promise.withResolvers<undefined>();
  scriptRun(model, { execute: () => answers.promise });
  const [api, worker] = await Promise.all([startApi(), startWorkerProcess(env)]);
  const user = await api.register();
  const run = await user.startRun({ task: 'Launch a newsletter', provider_id: await user.addProvider(model) });
  await model.until(() => model.openCalls === 3, 'three calls in flight');
  await killTemporal();
  answers.resolve(undefined);
  await until(async () => (await run.get()).usage.llm_calls === 8, 'the answers and their evaluations are kept');

  await startTemporalAgain();
  await run.until('completed');
  expect(askedAgain(model)).toEqual([]);
  expect(worker.isRunning(), worker.log()).toBe(true);
});

test('a worker killed after it kept an answer that Temporal could not take: the answer is not paid for again', async () => {
  const answer = Promise.withResolvers<undefined>();
  scriptRun(model, { dependencies: { T2: ['T1'], T3: ['T1'] }, execute: () => answer.promise });
  const [api, worker] = await Promise.all([startApi(), startWorkerProcess(env)]);
  const user = await api.register();
  const run = await user.startRun({ task: 'Launch a newsletter', provider_id: await user.addProvider(model) });
  await model.waitForCall(({ task_id }) => task_id === 'T1');
  process.kill(temporal.pid, 'SIGSTOP');
  answer.resolve(undefined);
  await until(async () => (await run.get()).usage.llm_calls === 4, 'the answer and its evaluation are kept');
  await worker.kill();
  process.kill(temporal.pid, 'SIGCONT');

  await startWorkerHere(env);
  await run.until('completed');
  expect(askedAgain(model)).toEqual([]);
});

test('a frozen worker that comes back has lost its task, and its late answer is not taken', async () => {
  const late = Promise.withResolvers<string>();
  scriptRun(model, {
    dependencies: { T2: ['T1'], T3: ['T2'] },
    execute: (call) =>
      call.task_id === 'T1' ? (isFirst(model, call) ? late.promise : 'From the second worker.') : undefined,
  });
  const [api, frozen] = await Promise.all([startApi(), startWorkerProcess(env)]);
  const user = await api.register();
  const provider_id = await user.addProvider(model);
  const run = await user.startRun({ task: 'Launch a newsletter', human_gates: ['legal approval'], provider_id });
  await model.waitForCall(({ task_id }) => task_id === 'T1');
  frozen.signal('SIGSTOP');

  const second = await startWorkerProcess(env);
  await run.untilWaiting('T4');
  late.resolve('From the frozen worker.');
  await model.until(() => model.openCalls === 0, 'the late answer is on its way');
  frozen.signal('SIGCONT');
  await second.kill();

  await run.complete('T4', { output: 'Cleared.' });
  const done = await run.until('completed');
  expect(done.tasks[0]).toMatchObject({ output: 'From the second worker.', attempts: 1 });
  expect(askedAgain(model)).toEqual(['execute T1']);
  for (const call of model.calls) expect(call.prompt).not.toContain('From the frozen worker.');
});

/** A worker whose event loop stands still, at SIGUSR2, for longer than the server waits for a heartbeat. */
function withBlock(): Record<string, string> {
  const block = `import { isMainThread } from 'node:worker_threads';
    if (isMainThread) process.on('SIGUSR2', () => {
      console.log('blocked');
      for (const end = performance.now() + 9_000; performance.now() < end;);
    });`;
  return { ...env, NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(block)}` };
}

test('a worker whose event loop was blocked goes on: each task has one outcome, and each answer is kept once', async () => {
  const answers = Promise.withResolvers<undefined>();
  scriptRun(model, {
    execute: (call) => (isFirst(model, call) && call.task_id !== 'T3' ? answers.promise : 'Again.'),
  });
  const [api, worker] = await Promise.all([startApi(), startWorkerProcess(withBlock())]);
  const user = await api.register();
  const run = await user.startRun({ task: 'Launch a newsletter', provider_id: await user.addProvider(model) });
  await run.until(({ tasks }) => tasks[2]?.status === 'completed');
  worker.signal('SIGUSR2');
  await until(() => worker.log().includes('blocked'), 'it is blocked');
  answers.resolve(undefined);

  const handle = client.workflow.getHandle(run.run_id);
  const attempts = async () => (await handle.describe()).raw.pendingActivities?.map(({ attempt }) => attempt) ?? [];
  await until(async () => (await attempts()).join() === '2,2', 'the server waits for the worker no more');
  const done = await run.until('completed');
  const again = askedAgain(model);
  expect(again).toEqual([...new Set(again)]);
  // Where both tries have their answer, each goes on to its evaluation, unless one finds that of the other in the journal.
  for (const step of again) expect(step).toMatch(/^(execute|evaluate) T[12]$/);
  expect(done).toMatchObject({ warnings: [], usage: { llm_calls: 9 } });
  expect(done.tasks.map(({ attempts }) => attempts)).toEqual([1, 1, 1]);
  const [evaluated, finalized] = [model.callsFor('evaluate'), model.callsFor('finalize')];
  for (const { id, output } of done.tasks) {
    expect(evaluated.find(({ task_id }) => task_id === id)!.prompt).toContain(output);
    expect(finalized[0]!.prompt).toContain(output);
  }
  expect(worker.isRunning(), worker.log()).toBe(true);
});
