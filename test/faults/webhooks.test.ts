import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { createDb, type Db } from '../../db/index.ts';
import { startFakeModel, type FakeModel } from '../fakes/model.ts';
import { startFakeWebhook, type FakeWebhook } from '../fakes/webhook.ts';
import { assertNothingLeaked } from '../harness/canaries.ts';
import { createEnvironment, until, type User } from '../harness/orchflow.ts';
import { endProcesses, startApiProcess, startWorkerHere, startWorkerProcess } from '../harness/processes.ts';
import { startProxy, startTemporalLine } from '../harness/proxy.ts';
import { scriptRun } from '../harness/script.ts';
import { eventsOf, requestsOf, subscribe, toldOf, untilTold } from '../harness/subscription.ts';

/** Between an event and its arrival, processes are killed and servers cut off. */

let env: Record<string, string>;
let db: Db;
let model: FakeModel;
let endpoint: FakeWebhook;

beforeAll(async () => {
  env = await createEnvironment();
  db = createDb(env.DATABASE_URL!, 2);
});
afterAll(async () => {
  await assertNothingLeaked(env, '');
  await db.destroy();
});
beforeEach(async () => {
  [model, endpoint] = await Promise.all([startFakeModel(), startFakeWebhook()]);
  scriptRun(model);
});
afterEach(async () => {
  await endProcesses(model);
  await endpoint.close();
});

async function startRun(user: User) {
  const provider_id = await user.addProvider(model);
  return user.startRun({ task: 'Launch a newsletter.', provider_id, ask_me_about: ['brand voice'] });
}

/** What a process has taken that is no more is due again. */
async function passClaims(): Promise<void> {
  await db
    .updateTable('webhook_deliveries')
    .set({ next_attempt_at: sql`now()` })
    .where('next_attempt_at', 'is not', null)
    .execute();
}

/** That the run comes to its end, and each of its events has come, in order, some of them perhaps again. */
async function expectWhole(user: User, url: string, run_id: string): Promise<void> {
  const run = user.openRun(run_id);
  await run.untilWaiting('T1');
  await run.complete('T1', { output: 'Dry.' });
  await run.until('completed');
  await untilTold(endpoint, run_id, 'run.completed');
  const seqs = toldOf(endpoint, run_id).map(({ seq }) => seq!);
  expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
  expect([...new Set(seqs)]).toEqual((await eventsOf(user, url, run_id)).map(({ seq }) => seq));
  const bodies = Map.groupBy(requestsOf(endpoint, run_id), ({ headers }) => String(headers['webhook-id']));
  for (const [id, sent] of bodies) expect(new Set(sent.map(({ body }) => body)).size, id).toBe(1);
}

const firstSeqs = (run_id: string) =>
  toldOf(endpoint, run_id)
    .map(({ seq }) => seq)
    .slice(0, 3);

test('a worker that is killed while it sends: another sends it again, and all that follows', async () => {
  const [api, worker] = await Promise.all([startApiProcess(env), startWorkerProcess(env)]);
  const user = await api.register();
  await subscribe(user, endpoint);
  endpoint.answer({ hang: true });
  const { run_id } = await startRun(user);
  await untilTold(endpoint, run_id, 'run.created');
  await worker.kill();
  endpoint.answer({ status: 204 });
  await Promise.all([startWorkerHere(env), passClaims()]);
  await expectWhole(user, api.url, run_id);
  expect(firstSeqs(run_id)).toEqual([1, 1, 2]);
});

test('a worker that is killed before it has noted that an event arrived: it is sent again, with its id and body', async () => {
  const [api, worker] = await Promise.all([startApiProcess(env), startWorkerProcess(env)]);
  const user = await api.register();
  await subscribe(user, endpoint);
  let isFrozen = false;
  endpoint.answer(() => {
    if (!isFrozen) worker.signal('SIGSTOP');
    isFrozen = true;
    return { status: 204 };
  });
  const { run_id } = await startRun(user);
  await untilTold(endpoint, run_id, 'run.created');
  await worker.kill();
  const [row] = await db.selectFrom('webhook_deliveries').selectAll().where('run_id', '=', run_id).execute();
  expect(row).toMatchObject({ event: 'run.created', status: 'pending', attempts: 1 });
  await Promise.all([startWorkerHere(env), passClaims()]);
  await expectWhole(user, api.url, run_id);
  expect(firstSeqs(run_id)).toEqual([1, 1, 2]);
});

test('an API that is killed right after it took a start and an answer: workers tell of both', async () => {
  const api = await startApiProcess(env);
  const user = await api.register();
  await subscribe(user, endpoint);
  const { run_id } = await startRun(user);
  await api.kill();
  const worker = await startWorkerProcess(env);
  await untilTold(endpoint, run_id, 'gate.opened');
  await worker.kill();

  const next = await startApiProcess({ ...env, PORT: api.port });
  expect((await user.openRun(run_id).complete('T1', { output: 'Dry.' })).status).toBe(200);
  await next.kill();
  await Promise.all([startWorkerHere(env), passClaims()]);
  await untilTold(endpoint, run_id, 'run.completed');
  // The worker may have been killed while it sent the last one.
  const seqs = [...new Set(toldOf(endpoint, run_id).map(({ seq }) => seq))];
  expect(seqs).toEqual(seqs.map((_, index) => index + 1));
});

test('while Temporal is away, what was taken is told all the same', async () => {
  const { line, env: cut } = await startTemporalLine(env);
  const [api] = await Promise.all([startApiProcess(cut), startWorkerHere(cut)]);
  const user = await api.register();
  await subscribe(user, endpoint);
  const { run_id } = await startRun(user);
  await user.openRun(run_id).untilWaiting('T1');
  line.cut();
  await user.openRun(run_id).complete('T1', { output: 'Dry.' });
  await untilTold(endpoint, run_id, 'gate.answered');
  line.heal();
  await user.openRun(run_id).until('completed');
  await untilTold(endpoint, run_id, 'run.completed');
  line.close();
});

test('a worker that is cut off from PostgreSQL while it sends sends it again', async () => {
  const address = new URL(env.DATABASE_URL!);
  const line = await startProxy(Number(address.port));
  const api = await startApiProcess(env);
  const user = await api.register();
  await subscribe(user, endpoint);
  const { run_id } = await startRun(user);
  let isCut = false;
  endpoint.answer(() => {
    if (!isCut) line.cut();
    isCut = true;
    return { status: 204 };
  });
  const DATABASE_URL = Object.assign(address, { port: String(line.port) }).href;
  const worker = await startWorkerProcess({ ...env, DATABASE_URL });
  await until(() => worker.log().includes('it will be sent again'), 'the outcome cannot be noted');
  line.heal();
  await passClaims();
  await expectWhole(user, api.url, run_id);
  expect(firstSeqs(run_id)).toEqual([1, 1, 2]);
  line.close();
});
