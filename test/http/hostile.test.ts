import { connect } from 'node:net';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startOrchflow, until, type Orchflow, type User } from '../harness/orchflow.ts';
import { expectFault } from '../harness/problem.ts';
import { send } from '../harness/raw.ts';

let orchflow: Orchflow;
let user: User;
const environment = {
  HTTP_HEADERS_TIMEOUT_SECONDS: '0.2',
  HTTP_REQUEST_TIMEOUT_SECONDS: '0.4',
  HTTP_KEEP_ALIVE_SECONDS: '0.2',
};

beforeAll(async () => {
  orchflow = await startOrchflow({ worker: false, environment });
  user = await orchflow.register();
});
afterAll(() => orchflow.stop());

describe('deep JSON', () => {
  const post = (body: string) =>
    send(orchflow.url, 'POST', '/api/v1/runs', { 'x-api-key': user.api_key, 'content-type': 'application/json' }, body);
  const nested = (levels: number) => `{"task": "x", "agents": ${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`;

  test('is refused by its depth, before it is parsed', async () => {
    const answer = await post(nested(33));
    expectFault(answer, '');
    expect(answer.body.detail).toBe('body: must not nest deeper than 32 levels');
    expectFault(await post('['.repeat(1_000_000)), '');
    expectFault(await post(`{"task": ${'{"a":'.repeat(150_000)}`), '');
    expect((await post(nested(32))).body.detail).not.toContain('nest');
  });

  test('is no matter of brackets in texts', async () => {
    const task = `${'['.repeat(50)} "quoted \\ ${'{'.repeat(50)}`;
    const answer = await post(JSON.stringify({ task }));
    expect(answer.status).toBe(201);
    expect((await user.get(`/runs/${answer.body.run_id}`)).body.task).toBe(task);
  });

  test('is refused to those without an account too', async () => {
    const headers = { 'content-type': 'application/json' };
    const answer = await send(orchflow.url, 'POST', '/api/v1/auth/register', headers, nested(40));
    expect(answer.body.detail).toBe('body: must not nest deeper than 32 levels');
  });
});

/** Sends this and nothing more. Resolves, once the server has hung up, with what it said. */
function dribble(text: string): Promise<string> {
  const { port } = new URL(orchflow.url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), '127.0.0.1', () => socket.write(text));
    let said = '';
    socket.on('data', (chunk: Buffer) => (said += chunk.toString()));
    socket.on('error', reject);
    socket.on('close', () => resolve(said));
  });
}

describe('slow clients are cut', () => {
  test('when their headers do not come', async () => {
    expect(await dribble('GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ')).toMatch(/^HTTP\/1\.1 408 /);
  });

  test('when their body does not come, and nothing is half-done', async () => {
    const said = await dribble(
      `POST /api/v1/runs HTTP/1.1\r\nHost: x\r\nX-API-Key: ${user.api_key}\r\nContent-Type: application/json\r\n` +
        'Content-Length: 100\r\nIdempotency-Key: slow\r\n\r\n{"task": "Sl',
    );
    expect(said).toMatch(/^HTTP\/1\.1 408 /);
    const { rows } = await sql`select from runs where task like 'Sl%'`.execute(orchflow.db);
    expect(rows).toEqual([]);
  });

  test('when they only hold a connection', async () => {
    const said = await dribble('GET /api/v1/agents/templates HTTP/1.1\r\nHost: x\r\n\r\n');
    expect(said).toMatch(/^HTTP\/1\.1 200 /);
  });

  test('when their headers have no end', async () => {
    expect(await dribble(`GET /health HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(20_000)}`)).toMatch(
      /^HTTP\/1\.1 431 /,
    );
  });
});

describe('idempotency keys', () => {
  const create = () =>
    send(
      orchflow.url,
      'POST',
      '/api/v1/runs',
      { 'x-api-key': user.api_key, 'content-type': 'application/json', 'idempotency-key': 'daily' },
      '{"task": "Write the daily report."}',
    );
  const age = (hours: number) =>
    sql`update idempotency_keys set created_at = created_at - make_interval(hours => ${hours})`.execute(orchflow.db);

  test('are forgotten after 24 hours: the same request makes another run', async () => {
    const first = await create();
    await age(23);
    expect((await create()).body).toEqual(first.body);
    await age(2);
    const next = await create();
    expect(next).toMatchObject({ status: 201, body: { run_id: expect.not.stringMatching(first.body.run_id) } });
    expect((await create()).body).toEqual(next.body);
  });

  test('are deleted in the background when they have expired', async () => {
    await create();
    await age(25);
    const { DATABASE_URL = '' } = orchflow.env;
    const other = await startOrchflow({ worker: false, environment: { DATABASE_URL } });
    const isEmpty = async () => (await sql`select from idempotency_keys`.execute(orchflow.db)).rows.length === 0;
    await until(isEmpty, 'the keys are deleted');
    await other.stop();
  });
});
