import { afterAll, beforeAll, expect, test } from 'vitest';
import { sql } from 'kysely';
import { startOrchflow, type Orchflow } from '../harness/orchflow.ts';
import { expectProblem } from '../harness/problem.ts';
import { send } from '../harness/raw.ts';

/** Two API processes on one database, behind a proxy at 127.0.0.1. */
let apis: [Orchflow, Orchflow];
const environment = { RATE_LIMIT_PER_MINUTE: '120', REGISTER_LIMIT_PER_HOUR: '3', TRUSTED_PROXIES: '127.0.0.0/8' };

beforeAll(async () => {
  const first = await startOrchflow({ environment, worker: false });
  const { DATABASE_URL = '' } = first.env;
  apis = [first, await startOrchflow({ environment: { ...environment, DATABASE_URL }, worker: false })];
});
afterAll(() => Promise.all(apis.map((api) => api.stop())));

let lastEmail = 0;
function register(forwarded_for: string, { url } = apis[0]) {
  const headers = { 'content-type': 'application/json', 'x-forwarded-for': forwarded_for };
  const email = `limit.${(lastEmail += 1)}@example.com`;
  return send(url, 'POST', '/api/v1/auth/register', headers, JSON.stringify({ name: 'Ada', email }));
}

const statusesOf = (answers: { status: number }[]) => answers.map(({ status }) => status);

test('an account may make its requests at both APIs together, and no more; each answer says what is left', async () => {
  const { api_key } = (await register('203.0.113.1')).body;
  const list = (index: number, key = api_key) =>
    send(apis[index % 2]!.url, 'GET', '/api/v1/runs', { 'x-api-key': key });

  const headers = { 'x-api-key': api_key, 'content-type': 'application/json' };
  const key = JSON.stringify({ name: 'Second', scopes: ['*'] });
  const made = await send(apis[0].url, 'POST', '/api/v1/keys', headers, key);
  const second = made.body.api_key;
  expect(made.headers.get('ratelimit')).toMatch(/^"requests";r=119;t=(59|60)$/);

  const first = await list(0);
  expect(first.status).toBe(200);
  expect(first.headers.get('ratelimit-policy')).toBe('"requests";q=120;w=60');
  expect(first.headers.get('ratelimit')).toMatch(/^"requests";r=118;t=(59|60)$/);
  expect(first.headers.get('x-ratelimit-limit')).toBe('120');
  expect(first.headers.get('x-ratelimit-remaining')).toBe('118');
  const reset = Number(first.headers.get('x-ratelimit-reset')) - Date.now() / 1000;
  expect(reset).toBeGreaterThan(50);
  expect(reset).toBeLessThan(62);

  // Now both have a connection. One that gets none in time for its first batch would count that batch for itself.
  expect((await list(1)).status).toBe(200);
  const answers = await Promise.all(Array.from({ length: 140 }, (_, index) => list(index)));
  const allowed = 3 + statusesOf(answers).filter((status) => status === 200).length;
  expect(allowed).toBeLessThanOrEqual(120);
  // What one API has taken of the last batches is lost to the other.
  expect(allowed).toBeGreaterThan(110);
  const refused = answers.find(({ status }) => status === 429)!;
  expectProblem(refused, { status: 429, code: 'RATE_LIMITED' });
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(refused.headers.get('x-ratelimit-remaining')).toBe('0');

  // Another key is not another limit.
  expectProblem(await list(0, second), { status: 429, code: 'RATE_LIMITED' });

  const { rows } = await sql<{ points: number }>`select points from rate_limits where key like 'requests%'`.execute(
    apis[0].db,
  );
  expect(rows.map(({ points }) => points)).toEqual([expect.any(Number)]);
  expect(rows[0]!.points, 'refused requests are not written').toBeLessThanOrEqual(126);

  const other = (await register('203.0.113.2')).body.api_key;
  expect((await list(0, other)).status, 'another key is not held up').toBe(200);
});

test('an Idempotency-Key replays within the limit, and says so too', async () => {
  const { api_key } = (await register('203.0.113.3')).body;
  const headers = { 'x-api-key': api_key, 'content-type': 'application/json', 'idempotency-key': 'k' };
  const provider = JSON.stringify({ provider: 'openai', api_key: 'sk-canary' });
  const create = () => send(apis[0].url, 'POST', '/api/v1/providers', headers, provider);
  const [first, again] = [await create(), await create()];
  expect(again.headers.get('idempotency-replayed')).toBe('true');
  expect([first, again].map((answer) => answer.headers.get('x-ratelimit-remaining'))).toEqual(['119', '118']);
});

test('an address may register three accounts in an hour, whatever it says of itself', async () => {
  const spoofed = [
    '198.51.100.7',
    '10.0.0.1, 198.51.100.7',
    '1.2.3.4, 198.51.100.7',
    '5.6.7.8,198.51.100.7, 127.0.0.9',
  ];
  const answers = [];
  for (const [index, forwarded_for] of spoofed.entries()) answers.push(await register(forwarded_for, apis[index % 2]!));
  expect(statusesOf(answers)).toEqual([201, 201, 201, 429]);
  expect(answers[3]!.headers.get('ratelimit-policy')).toBe('"registrations";q=3;w=3600');
  expect((await register('198.51.100.8')).status).toBe(201);

  const sixes = ['2001:db8:1:2::1', '2001:db8:1:2::2', '2001:db8:1:2:3::1', '2001:db8:1:2:ffff::', '2001:db8:1:3::1'];
  const of6 = [];
  for (const address of sixes) of6.push(await register(address));
  expect(statusesOf(of6), 'an IPv6 client has a whole /64').toEqual([201, 201, 201, 429, 201]);
});

test('X-Forwarded-For from anyone but a trusted proxy changes nothing', async () => {
  const open = await startOrchflow({ environment: { ...environment, TRUSTED_PROXIES: '' }, worker: false });
  try {
    const answers = [];
    for (let last = 1; last <= 4; last += 1) answers.push(await register(`198.51.100.${last}`, open));
    expect(statusesOf(answers)).toEqual([201, 201, 201, 429]);
  } finally {
    await open.stop();
  }
});

test('without its table every API counts for itself', async () => {
  const api = await startOrchflow({ environment, worker: false });
  try {
    await sql`drop table rate_limits`.execute(api.db);
    const answers = [];
    for (let nth = 1; nth <= 4; nth += 1) answers.push(await register('198.51.100.7', api));
    expect(statusesOf(answers)).toEqual([201, 201, 201, 429]);
  } finally {
    await api.stop();
  }
});

test('a server of one’s own has no limits unless it is given some', async () => {
  const api = await startOrchflow({ worker: false });
  try {
    const user = await api.register();
    const { headers } = await user.get('/runs');
    expect([...headers.keys()].filter((name) => name.includes('ratelimit'))).toEqual([]);
  } finally {
    await api.stop();
  }
});
