import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { registerAgent } from '../harness/agent.ts';
import { createAgents } from '../harness/orchagent.ts';
import { define } from '../harness/orchestration.ts';
import { startOrchflow, type Orchflow, type User } from '../harness/orchflow.ts';

/**
 * What an answer that is kept open holds: an account has 200 of them, each of which may have come with a body of a mebibyte and be of a
 * definition of almost as much, and of a run with megabytes in its state.
 */

// So many that what else this process does meanwhile counts little.
const count = 24;
const mebibyte = 1024 ** 2;
let orchflow: Orchflow;
let user: User;
let paths: Record<string, { path: string; body: object; headers?: () => string }>;
/** With a key of its own each, so that the body is held against that too. */
const events = () => `\r\nAccept: text/event-stream\r\nIdempotency-Key: ${randomUUID()}`;

// No worker: nothing ends by itself.
beforeAll(async () => {
  orchflow = await startOrchflow({ worker: false });
  user = await orchflow.register();
  const prints = Array.from({ length: 18 }, (_, n) => ({
    id: `print${n}`,
    type: 'print',
    print_content: 'x'.repeat(49_000),
  }));
  const orchestration = await define(user, prints);
  const agent_id = await registerAgent(user);
  const agents = createAgents(orchflow.url, user);
  await agents.publish({ name: 'reader' });
  const initial_state = Object.fromEntries(['a', 'b', 'c', 'd'].map((key) => [key, 'x'.repeat(95_000)]));
  paths = {
    streamOrchestration: {
      path: `/api/v1/orchestrations/${orchestration}/run/stream`,
      body: { message: 'Go.', initial_state },
    },
    runOrchestration: {
      path: `/api/v1/orchestrations/${orchestration}/run?wait=30`,
      body: { message: 'Go.', initial_state },
    },
    callAgent: { path: `/${await agents.slug()}/reader/v1/run`, body: { input: 'x'.repeat(900_000) }, headers: events },
    orchstackRunAgent: { path: `/v1/agents/${agent_id}/run`, body: { input: 'Go.', stream: true } },
  };
});
afterAll(() => orchflow.stop());

test.each(['streamOrchestration', 'runOrchestration', 'orchstackRunAgent', 'callAgent'])(
  '%s holds nothing that is long',
  async (name) => {
    await openOne(name).then((socket) => socket.destroy());
    const before = await held();
    const sockets: Socket[] = [];
    // A few at a time: all at once, a busy machine refuses some of them again and again.
    while (sockets.length < count) sockets.push(...(await Promise.all(Array.from({ length: 4 }, () => openOne(name)))));
    const each = ((await held()) - before) / count;
    for (const socket of sockets) socket.destroy();
    expect(each / mebibyte).toBeLessThan(0.3);
  },
);

/** Sends a body of a mebibyte, and resolves when the answer has begun; again, while the machine is too busy to take it. */
async function openOne(name: string): Promise<Socket> {
  const { hostname, port, host } = new URL(orchflow.url);
  const { path, body, headers: more = () => '' } = paths[name]!;
  const socket = connect(Number(port), hostname);
  const json = JSON.stringify(body);
  const headers = `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nX-API-Key: ${user.api_key}\r\nContent-Type: application/json${more()}`;
  socket.write(`${headers}\r\nContent-Length: ${mebibyte}\r\n\r\n${json}${' '.repeat(mebibyte - json.length)}`);
  const [begin] = (await once(socket, 'data')) as [Buffer];
  if (/^HTTP\/1.1 503 /.test(begin.toString())) {
    socket.destroy();
    return openOne(name);
  }
  expect(begin.toString()).toMatch(/^HTTP\/1.1 200 /);
  return socket.resume();
}

/** In bytes, of all that is reachable. */
async function held(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as (options: object) => Promise<void>;
  for (let n = 0; n < 3; n += 1) await collect({ type: 'major', execution: 'async' });
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
