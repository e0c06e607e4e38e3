import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { define } from '../harness/orchestration.ts';
import { startOrchflow, until, type Orchflow, type User } from '../harness/orchflow.ts';
import { expectProblem } from '../harness/problem.ts';
import { send } from '../harness/raw.ts';

/** Answers that their client does not read are held for it: so much of each account, and for so long. */

let orchflow: Orchflow;
let user: User;
let path: string;

beforeAll(async () => {
  orchflow = await startOrchflow({ environment: { HTTP_SEND_TIMEOUT_SECONDS: '6' }, worker: false });
  user = await orchflow.register();
  const orchestration = await define(user, [{ id: 'print', type: 'print', print_content: 'Hello' }]);
  const request = { message: 'Go.', initial_state: { big: 'x'.repeat(90_000) } };
  const { run_id } = (await user.post(`/orchestrations/${orchestration}/run?wait=0`, request)).body;
  await sql`update texts set text = repeat(text, 70) where run_id = ${run_id} and length(text) = 90000`.execute(
    orchflow.db,
  );
  path = `/orchestrations/runs/${run_id}`;
});
afterAll(() => orchflow.stop());

test('an account that reads none of its answers gets no more of them, until they are cut', async () => {
  const sockets: Socket[] = [];
  while (sockets.length < 40 && (await user.get(path)).status !== 429) {
    sockets.push(...(await Promise.all([1, 2, 3, 4].map(askAndReadNothing))));
  }
  expectProblem(await user.get('/agents'), {
    status: 429,
    code: 'LIMIT_REACHED',
    detail:
      'This account has more than 16 MiB of answers here that it has not read. Read them, or close their connections.',
  });
  const authorization = { authorization: `Bearer ${user.api_key}` };
  expect((await send(orchflow.url, 'GET', '/agents', authorization)).status, 'orchagent').toBe(429);
  expect((await send(orchflow.url, 'POST', '/acme/agent/v1/run', authorization)).status, 'a call').toBe(429);
  expect((await (await orchflow.register()).get('/agents')).status, 'another account').toBe(200);
  await until(async () => (await user.get(path)).status === 200, 'who has read nothing for long is cut');
  for (const socket of sockets) socket.destroy();
});

/** Resolves when the answer has begun to come. */
async function askAndReadNothing(): Promise<Socket> {
  const { hostname, port, host } = new URL(orchflow.url);
  const socket = connect(Number(port), hostname);
  socket.write(`GET /api/v1${path} HTTP/1.1\r\nHost: ${host}\r\nX-API-Key: ${user.api_key}\r\n\r\n`);
  await once(socket, 'readable');
  return socket;
}
