import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { sql } from 'kysely';
import { createUser, startOrchflow, until, type Orchflow, type User } from '../harness/orchflow.ts';
import { expectFault, expectProblem } from '../harness/problem.ts';
import { createAgents } from '../harness/orchagent.ts';
import { send } from '../harness/raw.ts';

/** Keys are made, listed and taken back by those who may. Two API processes on one database. */

let apis: [Orchflow, Orchflow];
let owner: User;

beforeAll(async () => {
  const first = await startOrchflow();
  const { DATABASE_URL = '', ENCRYPTION_KEY = '' } = first.env;
  apis = [first, await startOrchflow({ environment: { DATABASE_URL, ENCRYPTION_KEY }, worker: false })];
});
afterAll(() => Promise.all(apis.map((api) => api.stop())));
beforeEach(async () => {
  owner = await apis[0].register();
});

const userOf = (api_key: string, { url } = apis[0]) => createUser(url, api_key, '', '');

async function make(key: object, by = owner): Promise<{ key_id: string; api_key: string }> {
  const { status, body } = await by.post('/keys', { name: 'Dashboard', scopes: ['runs:read'], ...key });
  expect(status, JSON.stringify(body)).toBe(201);
  return body;
}

const list = async (by = owner) => (await by.get('/keys')).body.keys;

test('a key is shown once, and then known by its name, its beginning, its scopes and its times', async () => {
  const { status, body, headers } = await owner.post('/keys', {
    name: 'Dashboard',
    scopes: ['runs:read', 'gates:answer', 'runs:read'],
    expires_in: '90d',
  });
  expect(status).toBe(201);
  expect(headers.get('cache-control')).toBe('no-store');
  const { api_key, ...shown } = body;
  expect(api_key).toMatch(/^orch_[0-9A-Za-z]{49}$/);
  expect(shown).toEqual({
    key_id: expect.stringMatching(/^key_\w{20}$/),
    name: 'Dashboard',
    mode: 'live',
    key_prefix: api_key.slice(0, 9),
    scopes: ['runs:read', 'gates:answer'],
    created_at: expect.any(String),
    expires_at: expect.any(String),
    last_used_at: null,
  });
  expect(Date.parse(shown.expires_at) - Date.parse(shown.created_at)).toBe(90 * 86_400_000);
  const first = { name: 'First key', scopes: ['*'], key_prefix: owner.api_key.slice(0, 9), expires_at: null };
  const keys = await list();
  expect(keys).toMatchObject([shown, first]);
  expect(JSON.stringify(keys)).not.toContain(api_key);
  expect((await userOf(api_key).get('/runs')).status).toBe(200);
});

test.each<[string, object, string]>([
  ['no name', { name: undefined }, '/name'],
  ['a name of two lines', { name: 'a\nb' }, '/name'],
  ['no scopes', { scopes: undefined }, '/scopes'],
  ['an empty list of scopes', { scopes: [] }, '/scopes'],
  ['a scope that there is not', { scopes: ['runs:read', 'runs:*'] }, '/scopes/1'],
  ['more scopes than there are', { scopes: Array(100).fill('runs:read') }, '/scopes'],
  ['a time that is none', { expires_in: 'soon' }, '/expires_in'],
  ['a time beyond a year', { expires_in: '366d' }, '/expires_in'],
  ['an unknown field', { expires_at: '2030-01-01T00:00:00Z' }, '/expires_at'],
])('%s is told at the field', async (_, wrong, pointer) => {
  expectFault(await owner.post('/keys', { name: 'Dashboard', scopes: ['runs:read'], ...wrong }), pointer);
});

test('a key makes, and takes back, only keys whose scopes it has itself', async () => {
  const maker = userOf((await make({ scopes: ['runs:read', 'keys:write', 'keys:read'] })).api_key);
  const mine = await make({ scopes: ['runs:read'] }, maker);
  for (const scopes of [
    ['runs:read', 'runs:write'],
    ['runs:read', '*'],
  ]) {
    expectProblem(await maker.post('/keys', { name: 'More', scopes }), {
      status: 403,
      code: 'MISSING_SCOPE',
      detail: `This key lacks the scope ${scopes[1]}.`,
      scope: scopes[1],
      errors: [{ pointer: '/scopes/1', detail: 'is no scope of the key that asks' }],
    });
  }
  const first = (await list()).find(({ name }: { name: string }) => name === 'First key');
  const another = await make({ scopes: ['*'] });
  for (const { key_id } of [first, another]) {
    expectProblem(await maker.delete(`/keys/${key_id}`), { status: 403, code: 'MISSING_SCOPE', scope: '*' });
  }
  expect((await maker.delete(`/keys/${mine.key_id}`)).status).toBe(200);
});

describe('a key that expires', () => {
  const day_ms = 86_400_000;
  let maker: { key_id: string; api_key: string; expires_at: string };
  beforeEach(async () => {
    maker = (await make({ scopes: ['*'], expires_in: '1d' })) as typeof maker;
  });

  test.each([
    ['/api/v1/keys', 422],
    ['/v1/api-keys', 422],
    ['/api-keys', 400],
  ])('makes only keys that end with it or before: %s', async (path, status) => {
    const ask = (more: object) => {
      const headers = { 'x-api-key': maker.api_key, 'content-type': 'application/json' };
      return send(apis[0].url, 'POST', path, headers, JSON.stringify({ name: 'More', scopes: ['runs:read'], ...more }));
    };
    const longer = await ask({ expires_in: '2d' });
    expect(longer.status).toBe(status);
    expect(JSON.stringify(longer.body)).toContain('expires_in');
    expect(JSON.stringify(longer.body)).toContain(maker.expires_at);
    expect((await ask({})).body.expires_at).toBe(maker.expires_at);
    const shorter = (await ask({ expires_in: '1h' })).body;
    expect(Date.parse(shorter.expires_at) - Date.parse(shorter.created_at)).toBe(day_ms / 24);
    expect(await list()).toHaveLength(4);
  });

  test('lends its end to the keys of agents too, and not to those of people, who stay', async () => {
    const ends = async () => {
      const rows = await apis[0].db
        .selectFrom('api_keys')
        .select('expires_at')
        .where('account_id', '=', account_id)
        .execute();
      return rows.map(({ expires_at }) => expires_at);
    };
    const { account_id } = await apis[0].db
      .selectFrom('api_keys')
      .select('account_id')
      .where('key_id', '=', maker.key_id)
      .executeTakeFirstOrThrow();
    const asking = userOf(maker.api_key);
    expect((await asking.post('/people', { name: 'Grace' })).status).toBe(201);
    expect((await ends()).filter((end) => end === null)).toHaveLength(2);
    const { agent } = await createAgents(apis[0].url, owner).publish({ name: 'reader' });
    const made = await createAgents(apis[0].url, maker).post(`/agents/${agent.id}/keys`);
    expect(made.body).toMatchObject({ expires_at: maker.expires_at });
    expect((await ends()).filter((end) => end === null)).toHaveLength(2);
  });
});

test('a key is changed without a pause: another is made, and the first taken back by every API soon', async () => {
  const [first] = await list();
  const other = userOf(owner.api_key, apis[1]);
  expect((await other.get('/runs')).status).toBe(200);
  expectProblem(await owner.delete(`/keys/${first.key_id}`), { status: 409, code: 'LAST_KEY' });

  const second = userOf((await make({ name: 'Second key', scopes: ['*'] })).api_key);
  expect([(await owner.get('/runs')).status, (await second.get('/runs')).status]).toEqual([200, 200]);
  const deleted = await second.delete(`/keys/${first.key_id}`);
  expect(deleted.body).toEqual({ key_id: first.key_id, status: 'deleted', message: 'Key deleted.' });
  for (const user of [owner, other]) {
    await until(async () => (await user.get('/runs')).status === 401, 'the key is not taken any more');
  }
  expect(await list(second)).toMatchObject([{ name: 'Second key' }]);
  expectProblem(await second.delete(`/keys/${first.key_id}`), {
    status: 404,
    code: 'NOT_FOUND',
    detail: 'Key not found.',
  });
});

test('of two keys that may do everything one stays, when each deletes itself at once', async () => {
  const second = await make({ scopes: ['*'] });
  const first = (await list()).at(-1);
  const answers = await Promise.all([
    owner.delete(`/keys/${first.key_id}`),
    userOf(second.api_key, apis[1]).delete(`/keys/${second.key_id}`),
  ]);
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 409]));
});

test('one that has expired is as if it had never been, and does not count', async () => {
  const { key_id, api_key } = await make({ scopes: ['*'], expires_in: '1d' });
  const expiring = userOf(api_key);
  expect((await expiring.get('/runs')).status).toBe(200);
  await apis[0].db
    .updateTable('api_keys')
    .set({ expires_at: sql`now()` })
    .where('key_id', '=', key_id)
    .execute();
  await until(async () => (await expiring.get('/runs')).status === 401, 'it is not taken any more');
  const [first, ...others] = await list();
  expect(others).toEqual([]);
  expectProblem(await owner.delete(`/keys/${key_id}`), { status: 404, code: 'NOT_FOUND' });
  expectProblem(await owner.delete(`/keys/${first.key_id}`), { status: 409, code: 'LAST_KEY' });
});

test('its use is noted, to the minute', async () => {
  const { api_key } = await make({});
  const lastUse = async () => (await list())[0].last_used_at;
  expect(await lastUse()).toBeNull();
  await userOf(api_key).get('/runs');
  await until(async () => (await lastUse()) !== null, 'its use is noted');
  const first = await lastUse();
  await userOf(api_key, apis[1]).get('/runs');
  expect(await lastUse()).toBe(first);
  await apis[0].db.updateTable('api_keys').set({ last_used_at: '2026-01-01T00:00:00.000Z' }).execute();
  await until(async () => {
    await userOf(api_key).get('/runs');
    return (await lastUse()) > '2026-06';
  }, 'its later use is noted');
});

test('an account has at most 50', async () => {
  const answers = [];
  for (let index = 0; index < 51; index += 1) {
    answers.push(await owner.post('/keys', { name: `Key ${index}`, scopes: ['runs:read'] }));
  }
  expect(answers.slice(0, 49).map(({ status }) => status)).toEqual(Array(49).fill(201));
  expect(answers[49]).toMatchObject({ status: 429, body: { code: 'LIMIT_REACHED' } });
  expect(answers[49]!.body.detail).toContain('50');
  const [newest] = await list();
  await owner.delete(`/keys/${newest.key_id}`);
  await make({});
});

describe('with an Idempotency-Key', () => {
  const post = (key: string) =>
    send(
      apis[0].url,
      'POST',
      '/api/v1/keys',
      { 'x-api-key': owner.api_key, 'content-type': 'application/json', 'idempotency-key': key },
      JSON.stringify({ name: 'Dashboard', scopes: ['runs:read'] }),
    );

  test('a key is made once, and shown again', async () => {
    const first = await post('make');
    const again = await post('make');
    expect(again.body).toEqual(first.body);
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    expect(again.headers.get('cache-control')).toBe('no-store');
    expect(await list()).toHaveLength(2);
  });

  test('one whose answer nobody got is replaced at the next try', async () => {
    const first = await post('lost');
    await apis[0].db
      .updateTable('idempotency_keys')
      .set({ status: null, answer_encrypted: null, locked_until: sql`now()` })
      .where('idempotency_key', '=', 'lost')
      .execute();
    const again = await post('lost');
    expect(again.body).toMatchObject({ key_id: first.body.key_id });
    expect(again.body.api_key).not.toBe(first.body.api_key);
    expect((await userOf(again.body.api_key).get('/runs')).status).toBe(200);
    expect(await list()).toHaveLength(2);
  });
});

test('streams and waits end without an answer when their key is taken back, and the run goes on', async () => {
  const run = await owner.startRun({ task: 'Compare three note apps.', ask_me_about: ['the budget'] });
  await run.untilWaiting('T1');
  const { key_id, api_key } = await make({});
  const headers = { 'x-api-key': api_key };
  const response = await fetch(`${apis[0].url}/api/v1/runs/${run.run_id}/events`, { headers });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let seen = '';
  const read = async () => {
    const { done, value } = await reader.read();
    seen += value ?? '';
    return done;
  };
  while (!seen.includes('run.waiting') && !seen.includes('gate.opened')) expect(await read()).toBe(false);
  const wait = fetch(`${apis[0].url}/api/v1/runs/${run.run_id}?wait=60&seen=waiting_human`, { headers });
  // It has begun.
  const waited = (await wait).text();
  await owner.delete(`/keys/${key_id}`);
  await until(async () => (await userOf(api_key).get('/runs')).status === 401, 'the key is not taken any more');
  await run.complete('T1', { output: 'Ten euros.' });
  await expect(waited).rejects.toThrow();
  while (!(await read()));
  expect(seen).not.toContain('Ten euros');
  expect(seen).not.toContain('run.completed');
  await run.until('completed');
});
