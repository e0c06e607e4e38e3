import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createEnvironment, startOrchflow, until, type Answer, type Orchflow, type User } from '../harness/orchflow.ts';
import { createAgents } from '../harness/orchagent.ts';
import { define } from '../harness/orchestration.ts';
import { expectProblem } from '../harness/problem.ts';
import { promptly } from '../harness/processes.ts';
import { startProxy, type Proxy } from '../harness/proxy.ts';
import { send } from '../harness/raw.ts';
import { serverTiming } from '../harness/server-timing.ts';
import { bytesOf } from '../harness/upload.ts';
import { zipOf } from '../harness/zip.ts';

/** The time for an answer, by the API's own clock: a client's would count what the machine does besides. */

let proxy: Proxy;
let orchflow: Orchflow;
let user: User;
let run_id: string;
let orch_id: string;

beforeAll(async () => {
  const { DATABASE_URL } = await createEnvironment();
  const database = new URL(DATABASE_URL!);
  proxy = await startProxy(Number(database.port));
  database.port = String(proxy.port);
  // Limits are counted in Postgres too.
  const environment = { DATABASE_URL: database.href, RATE_LIMIT_PER_MINUTE: '6000' };
  orchflow = await startOrchflow({ environment, worker: false });
  user = await orchflow.register();
  run_id = (await user.startRun({ task: 'Nobody works on it.' })).run_id;
  orch_id = await define(user, [{ id: 'only', type: 'llm' }]);
});
afterAll(async () => {
  await orchflow.stop();
  proxy.close();
});

const timeOf = ({ headers }: Answer) => serverTiming(headers);

test('every answer says how long it took: done, refused, not found, a page, a stream', async () => {
  const headers = { 'x-api-key': user.api_key, 'content-type': 'application/json' };
  const asked: [number, string, string, string?][] = [
    [200, 'GET', `/api/v1/runs/${run_id}`],
    [201, 'POST', '/api/v1/runs', '{"task": "Nobody works on it."}'],
    [404, 'GET', '/api/v1/runs/unknown'],
    [404, 'GET', '/nothing'],
    [405, 'PATCH', '/api/v1/runs'],
    [415, 'POST', '/api/v1/runs', 'no JSON'],
    [422, 'POST', '/api/v1/runs', '{"task": ""}'],
    [200, 'GET', '/health'],
    [200, 'GET', '/docs'],
  ];
  for (const [status, method, path, body] of asked) {
    const type = status === 415 ? { 'content-type': 'text/plain' } : {};
    const answer = await send(orchflow.url, method, path, { ...headers, ...type }, body);
    const { wait, ...own } = timeOf(answer);
    expect([answer.status, own], path).toEqual([status, { app: expect.any(Number) }]);
    // Only a body may be waited for, for a moment.
    expect(wait === undefined || body !== undefined, `${path} waited ${wait}`).toBe(true);
  }
  const unknown = await send(orchflow.url, 'GET', '/api/v1/runs');
  expect([unknown.status, timeOf(unknown)]).toEqual([401, { app: expect.any(Number) }]);

  const leaving = new AbortController();
  const stream = await fetch(`${orchflow.url}/api/v1/runs/${run_id}/events`, { headers, signal: leaving.signal });
  expect(serverTiming(stream.headers)).toEqual({ app: expect.any(Number) });
  leaving.abort();
});

test('a read that was asked to wait has that time besides', async () => {
  const answer = await user.get(`/runs/${run_id}?wait=2.5`);
  expect(answer).toMatchObject({ status: 200, body: { status: 'pending' } });
  // A timer of Node.js may fire up to a millisecond early; what is over the time asked for is work.
  const { wait } = timeOf(answer);
  expect(wait).toBeGreaterThanOrEqual(2_490);
  expect(wait).toBeLessThanOrEqual(2_500);
});

test('a client that sends its body slowly takes its own time, whether it says how long it is or not, and with files', async () => {
  const goal = Buffer.from(JSON.stringify({ task: 'Nobody works on it.' }));
  const { agent } = await createAgents(orchflow.url, user).publish({ name: 'coder', type: 'tool' });
  const archive = bytesOf(zipOf([{ name: 'main.py', content: 'print(1)' }]));
  const json = { 'content-type': 'application/json' };
  const posts: [status: number, path: string, body: Buffer, headers: Record<string, string | number>][] = [
    [201, '/api/v1/runs', goal, json],
    [201, '/api/v1/runs', goal, { ...json, 'content-length': goal.length }],
    [200, `/agents/${agent.id}/upload`, Buffer.from(await archive.body.arrayBuffer()), archive.headers],
  ];
  const sent = posts.map(async ([status, path, body, headers]) => {
    async function* slowly() {
      yield body.subarray(0, 5);
      await sleep(4_000);
      yield body.subarray(5);
    }
    const all = { 'x-api-key': user.api_key, ...headers };
    const posting = request(orchflow.url + path, { method: 'POST', headers: all });
    const answered = once(posting, 'response');
    await pipeline(slowly, posting);
    const [answer] = (await answered) as [IncomingMessage];
    answer.resume();
    expect(answer.statusCode, path).toBe(status);
    const { wait, app } = serverTiming(new Headers(answer.headers as Record<string, string>));
    expect(wait).toBeGreaterThan(3_000);
    expect(app).toBeLessThan(3_000);
  });
  await Promise.all(sent);
});

test('while Postgres is silent, or slow, each answer is there in time', async () => {
  const ask = (wait: number) =>
    user.post(`/orchestrations/${orch_id}/run?wait=${wait}`, { message: 'Nobody works on it.' });
  try {
    const waiting = ask(2);
    await until(async () => (await user.get('/orchestrations/runs')).body.runs.length === 1, 'it waits');
    proxy.silence();
    const answers = [waiting, user.get(`/runs/${run_id}`), user.get(`/runs/${run_id}?wait=1`), ask(0), ask(1)];
    for (const answer of await Promise.all(answers.map(promptly))) {
      expectProblem(answer, { status: 503, code: 'UNAVAILABLE' });
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    }
    expect(timeOf(await waiting).wait).toBeGreaterThanOrEqual(2_000);
    proxy.heal();
    await until(async () => (await user.get('/runs')).status === 200, 'it serves again');
    for (const delay_ms of [50, 150, 250, 350]) {
      proxy.slow(delay_ms);
      expect([202, 503]).toContain((await promptly(ask(0))).status);
    }
  } finally {
    proxy.heal();
  }
});
