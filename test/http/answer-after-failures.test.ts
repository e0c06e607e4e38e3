import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { hasNginx, startNginx, type Nginx } from '../harness/nginx.ts';
import { sql } from 'kysely';
import { createDb, type Db } from '../../db/index.ts';
import { createEnvironment, startOrchflow, until, type Orchflow, type User } from '../harness/orchflow.ts';
import { define } from '../harness/orchestration.ts';
import { send } from '../harness/raw.ts';
import { startProxy, type Proxy } from '../harness/proxy.ts';

/** What goes wrong when an answer has begun. */

let environment: Record<string, string>;
let proxy: Proxy;
let orchflow: Orchflow;
let nginx: Nginx | undefined;
let user: User;
let orch_id: string;

beforeAll(async () => {
  environment = await createEnvironment();
  const database = new URL(environment.DATABASE_URL!);
  proxy = await startProxy(Number(database.port));
  database.port = String(proxy.port);
  orchflow = await startOrchflow({ environment: { DATABASE_URL: database.href }, worker: false });
  if (hasNginx) nginx = await startNginx(orchflow.url);
  user = await orchflow.register();
  orch_id = await define(user, [{ id: 'only', type: 'llm' }]);
});
afterEach(() => proxy.heal());
afterAll(async () => {
  await nginx?.stop();
  await orchflow.stop();
  proxy.close();
});

async function begin(method: string, path: string, headers = {}, { url } = orchflow as { url: string }) {
  const init = { method, headers: { 'x-api-key': user.api_key, 'content-type': 'application/json', ...headers } };
  const body = method === 'POST' ? '{"message": "Go."}' : undefined;
  const response = await fetch(`${url}/api/v1${path}`, { ...init, body });
  expect([response.status, response.headers.get('content-length')]).toEqual([200, null]);
  return response;
}

test.each([
  ['is cut', () => proxy.cut()],
  ['falls silent', () => proxy.silence()],
])('when Postgres %s, a start says that the run goes on, and a read is broken off', async (_, fail) => {
  const starting = begin('POST', `/orchestrations/${orch_id}/run?wait=5`, {
    'idempotency-key': `key ${_}`.replaceAll(' ', '-'),
  });
  const { run_id } = await user.startRun({ task: 'Nobody works on it.' });
  // A proxy tells it on, although it speaks HTTP/1.0, to which the end of the line is the end of the answer.
  const reading = [orchflow, ...(nginx ? [nginx] : [])].map((front) =>
    begin('GET', `/runs/${run_id}?wait=5`, {}, front),
  );
  const [started, ...reads] = await Promise.all([starting, ...reading]);
  fail();
  const broken = Promise.all(reads.map((read) => expect(read.text()).rejects.toThrow()));
  const body = JSON.parse(await started.text());
  expect(body).toEqual({
    status: 'running',
    run_id: expect.stringMatching(/^run_/),
    message: expect.any(String),
    warnings: [],
  });
  await broken;
  proxy.heal();
  await until(async () => (await user.get('/runs')).status === 200, 'it serves again');
  expect(await user.get(`/orchestrations/runs/${body.run_id}`)).toMatchObject({ status: 200 });
});

test('a request that failed with Postgres is at work no more when Postgres is back', async () => {
  const headers = { 'x-api-key': user.api_key, 'content-type': 'application/json', 'idempotency-key': 'failed' };
  const post = () => send(orchflow.url, 'POST', '/api/v1/runs', headers, '{"task": "Nobody works on it."}');
  const direct = createDb(environment.DATABASE_URL!, 1);
  const findKey = (db: Db) =>
    db.selectFrom('idempotency_keys').selectAll().where('idempotency_key', '=', 'failed').executeTakeFirst();
  const failed = await direct.transaction().execute(async (lock) => {
    await sql`lock table runs in exclusive mode`.execute(lock);
    const answer = post();
    await until(async () => (await findKey(lock)) !== undefined, 'the key is taken');
    proxy.cut();
    return answer;
  });
  expect(failed.status).toBe(503);
  proxy.heal();
  // At once, and not when its lock has run out.
  const isReleased = async () => {
    const { created_at, locked_until } = (await findKey(direct))!;
    return Date.parse(locked_until) - Date.parse(created_at) < 14_000;
  };
  await until(isReleased, 'the key is released');
  expect((await post()).status).toBe(201);
  await direct.destroy();
});

test('when the process stops, whoever waits is told that the run goes on', async () => {
  const { run_id } = await user.startRun({ task: 'Nobody works on it.' });
  const waiting = await Promise.all([
    begin('POST', `/orchestrations/${orch_id}/run?wait=60`),
    begin('GET', `/runs/${run_id}?wait=60`),
  ]);
  await orchflow.runEvents.stop();
  const bodies = await Promise.all(waiting.map(async (response) => (await response.json()) as { status: string }));
  expect(bodies.map(({ status }) => status)).toEqual(['running', 'pending']);
});
