import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startFakeWebhook } from '../fakes/webhook.ts';
import { runCommand } from '../harness/command.ts';
import { createDatabase, createEnvironment, startOrchflow, until, type Orchflow } from '../harness/orchflow.ts';
import { killProcesses, startApiProcess, startWorkerProcess } from '../harness/processes.ts';
import { send } from '../harness/raw.ts';

/** A process that has not the key of its database. */

const newKey = () => randomBytes(32).toString('base64');
const [right, wrong] = [newKey(), newKey()];
let orchflow: Orchflow;
beforeAll(async () => {
  orchflow = await startOrchflow({ environment: { ENCRYPTION_KEY: right } });
  await orchflow.register();
});
afterAll(() => orchflow.stop());
afterEach(killProcesses);

const programs: [string, (env: Record<string, string>) => Promise<unknown>][] = [
  ['api', startApiProcess],
  ['worker', startWorkerProcess],
  ['migrate', (env) => runCommand('migrate', env)],
  ['reencrypt', (env) => runCommand('reencrypt', env)],
];

test.each(programs)('%s does not start, and says what to do', async (_, start) => {
  const failed = await start({ ...orchflow.env, ENCRYPTION_KEY: wrong! }).then(
    () => 'It started.',
    (error: Error) => error.message,
  );
  expect(failed).toMatch(/ENCRYPTION_KEY cannot open \d of the secrets in this database.*list both.*the new one first/);
  for (const key of [right, wrong]) expect(failed).not.toContain(key);
});

test.each(programs)('%s starts with both keys, and on a database that is empty', async (name, start) => {
  await start({ ...orchflow.env, ENCRYPTION_KEY: `${wrong},${right}` });
  await killProcesses();
  if (name === 'reencrypt') await start({ ...orchflow.env, ENCRYPTION_KEY: `${right},${wrong}` });
  await start(await createEnvironment({ ENCRYPTION_KEY: wrong! }));
  if (name === 'migrate') {
    const DATABASE_URL = await createDatabase('template0');
    await start(await createEnvironment({ ENCRYPTION_KEY: wrong!, DATABASE_URL }));
  }
});

describe('while a process runs on that has not the key any more', () => {
  let other: Orchflow;
  beforeAll(async () => {
    const { DATABASE_URL, TEMPORAL_TASK_QUEUE } = orchflow.env as { DATABASE_URL: string; TEMPORAL_TASK_QUEUE: string };
    other = await startOrchflow({ environment: { DATABASE_URL, TEMPORAL_TASK_QUEUE, ENCRYPTION_KEY: wrong! } });
    await orchflow.stopWorker();
  });
  afterAll(() => other.stop());

  test('the log of deliveries says why a webhook was not sent, and a new secret mends it', async () => {
    const user = await orchflow.register();
    const endpoint = await startFakeWebhook();
    const run = await user.startRun({ task: 'x', ask_me_about: ['y'], webhook_url: endpoint.url });
    const deliveries = async () => (await user.get(`/webhooks/deliveries?run_id=${run.run_id}`)).body.deliveries;
    await until(async () => (await deliveries())[0]?.last_response, 'the first attempt');
    expect(await deliveries()).toMatchObject([
      { status: 'pending', last_response: expect.stringMatching(/^not sent: it cannot be signed.*ENCRYPTION_KEY/) },
    ]);
    expect(endpoint.requests).toEqual([]);

    const headers = { 'x-api-key': user.api_key };
    expect((await send(other.url, 'POST', '/api/v1/webhooks/secret/rotate', headers)).status).toBe(200);
    const [{ delivery_id }] = await deliveries();
    await user.post(`/webhooks/deliveries/${delivery_id}/redeliver`, {});
    await endpoint.untilReceived('waiting_human');
    await run.cancel();
    await endpoint.close();
  });

  test('a kept answer that cannot be read is no 500: the request is made again, and makes nothing twice', async () => {
    const user = await orchflow.register();
    const start = (at: Orchflow) => {
      const headers = { 'x-api-key': user.api_key, 'content-type': 'application/json', 'idempotency-key': 'k1' };
      return send(at.url, 'POST', '/api/v1/runs', headers, JSON.stringify({ task: 'x', ask_me_about: ['y'] }));
    };
    const first = await start(orchflow);
    const second = await start(other);
    expect(second).toMatchObject({ status: 201, body: first.body });
    expect((await start(other)).headers.get('idempotency-replayed')).toBe('true');
    expect((await user.get('/runs')).body.runs).toHaveLength(1);
    await user.openRun(first.body.run_id).cancel();
  });
});

test('of a key that is lost, what it encrypted is replaced on demand', async () => {
  const env = await createEnvironment({ ENCRYPTION_KEY: right! });
  const before = await startApiProcess(env);
  await before.register();
  await before.kill();
  const after = { ...env, ENCRYPTION_KEY: wrong! };
  expect((await runCommand('reencrypt', after, '--lost')).stdout).toContain('1 of them were lost');
  await startApiProcess(after);
});
