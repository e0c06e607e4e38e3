import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { define } from '../harness/orchestration.ts';
import { startOrchflow, until, type Orchflow, type User } from '../harness/orchflow.ts';

/** Requests of an account take turns for what takes memory, and none of them keeps the others from theirs. */

/** More than are worked on at once with one key. */
const many = 80;
const long = 'x'.repeat(90_000);
let orchflow: Orchflow;
let user: User;
let orchestration: string;

// No worker: nothing ends by itself.
beforeAll(async () => {
  orchflow = await startOrchflow({ environment: { HTTP_SEND_TIMEOUT_SECONDS: '60' }, worker: false });
  user = await orchflow.register();
  orchestration = await define(user, [{ id: 'print', type: 'print', print_content: 'Hello' }]);
});
afterAll(() => orchflow.stop());

const begin = (wait: number) =>
  user.post(`/orchestrations/${orchestration}/run?wait=${wait}`, { message: 'Go.', initial_state: { long } });

/** A run with a state of six megabytes. */
async function beginLong(): Promise<string> {
  const { run_id } = (await begin(0)).body;
  await sql`update texts set text = repeat(text, 70) where run_id = ${run_id} and length(text) = 90000`.execute(
    orchflow.db,
  );
  return run_id;
}

test('more requests than are worked on at once are all answered', async () => {
  const answers = await Promise.all(Array.from({ length: many }, () => user.get('/agents')));
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
});

test('what is kept open keeps no place', async () => {
  const { run_id } = (await begin(0)).body;
  const path = `/api/v1/runs/${run_id}/events`;
  const streams = await Promise.all(Array.from({ length: many }, () => openSocket(path)));
  expect((await user.get('/agents')).status).toBe(200);
  for (const stream of streams) stream.destroy();
});

test('what its client leaves before its turn leaves its place', async () => {
  const left = await Promise.all(Array.from({ length: 2 * many }, () => ask('/api/v1/agents')));
  for (const socket of left) socket.destroy();
  expect((await user.get('/agents')).status).toBe(200);
});

test('long bodies at once are all taken, and none waits until another has its answer', async () => {
  const key = { initial_state: { turn: long } };
  const answers = Array.from({ length: 5 }, () =>
    user.post(`/orchestrations/${orchestration}/run?wait=3`, { message: 'Go.', ...key }),
  );
  await Promise.race(answers);
  const begun = await sql`select from runs where shared_state ? 'turn'`.execute(orchflow.db);
  expect(begun.rows).toHaveLength(5);
  for (const { status } of await Promise.all(answers)) expect(status).toBe(202);
});

test('a client that is slow with a long body keeps nobody else of its account from theirs', async () => {
  const slow = await openSlowBody();
  expect((await begin(0)).status).toBe(202);
  slow.destroy();
  expect((await begin(0)).status).toBe(202);
});

test('reads of a long state at once take their turns, and none is told that it takes too long', async () => {
  const run_id = await beginLong();
  const reads = Array.from({ length: 30 }, () => user.get(`/orchestrations/runs/${run_id}`));
  // Answers that have not come yet count as not read.
  for (const { status } of await Promise.all(reads)) expect([200, 429]).toContain(status);
  expect((await user.get(`/orchestrations/runs/${run_id}`)).status).toBe(200);
});

test('a wait gets no answer that an account would not read, but hears that its run goes on', async () => {
  const read = await beginLong();
  const waiting = user.get(`/runs/${read}?wait=6`);
  const going = begin(6);
  const unread: Socket[] = [];
  await until(async () => {
    const socket = await openSocket(`/api/v1/orchestrations/runs/${read}`);
    unread.push(socket);
    return (await user.get('/agents')).status === 429;
  }, 'it has left too much unread');
  expect((await waiting).status).toBe(429);
  const { status, message } = (await going).body;
  expect(status).toBe('running');
  expect(message).toMatch(/^What has become of the run is not told here\. This account has more than 16 MiB/);
  for (const socket of unread) socket.destroy();
  await until(async () => (await user.get('/agents')).status === 200, 'it is answered again');
});

/** A request of which the answer is not waited for. */
async function ask(path: string): Promise<Socket> {
  const { hostname, port, host } = new URL(orchflow.url);
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nX-API-Key: ${user.api_key}\r\n\r\n`);
  return socket;
}

/** Resolves when the answer has begun to come. Nobody reads it. */
async function openSocket(path: string): Promise<Socket> {
  const socket = await ask(path);
  await once(socket, 'readable');
  return socket;
}

/** A request that says how long its body is, and sends the half of it. */
async function openSlowBody(): Promise<Socket> {
  const { hostname, port, host } = new URL(orchflow.url);
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  const head = `POST /api/v1/orchestrations/${orchestration}/run HTTP/1.1\r\nHost: ${host}\r\nX-API-Key: ${user.api_key}`;
  socket.write(`${head}\r\nContent-Type: application/json\r\nContent-Length: 200000\r\n\r\n{"message": "${long}`);
  return socket;
}
