import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { closeAccount, deleteClosedAccount, findAccountByEmail } from '../../db/accounts.ts';
import { createAgents, expectError, type Agents } from '../harness/orchagent.ts';
import { startOrchflow, type Orchflow, type User } from '../harness/orchflow.ts';
import { send } from '../harness/raw.ts';

/** Who a key is of, in orchagent's words, and the keys that agents have. */

let orchflow: Orchflow;
let user: User;
let agents: Agents;

beforeAll(async () => {
  orchflow = await startOrchflow({ worker: false });
});
beforeEach(async () => {
  user = await orchflow.register();
  agents = createAgents(orchflow.url, user);
});
afterAll(() => orchflow.stop());

const uuid = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/;

test('an account is an organisation, a workspace and a user, by one UUID', async () => {
  const { body: org } = await agents.get('/org');
  expect(org).toEqual({
    id: expect.stringMatching(uuid),
    name: 'Ada',
    slug: expect.stringMatching(/^ada(-\w+)?$/),
    created_at: expect.any(String),
  });
  const { body } = await agents.get('/workspaces');
  const own = { id: org.id, name: 'Ada', slug: org.slug, type: 'personal', role: 'owner', member_count: 1 };
  expect(body).toEqual({ workspaces: [own] });
  expect((await agents.get('/users/me')).body.user).toEqual({ id: org.id, display_name: 'Ada', email: user.email });
  expect((await agents.get('/org', { 'x-workspace-id': org.id })).body).toEqual(org);
  const stranger = createAgents(orchflow.url, await orchflow.register());
  expectError(await stranger.get('/org', { 'x-workspace-id': org.id }), 'NOT_FOUND', 404);
  expectError(await stranger.get(`/agents?workspace_id=${org.id}`), 'NOT_FOUND', 404);
  expect((await agents.get(`/agents?workspace_id=${org.id}`)).body).toEqual([]);
  expectError(await agents.post('/workspaces', { name: 'Two', slug: 'two' }), 'UNPROCESSABLE', 422);
  expect((await send(orchflow.url, 'POST', '/auth/cli-logout')).body.logged_out).toBe(true);
});

test('a slug is chosen, unless it is reserved, taken, or others call agents by the one before', async () => {
  const slug = `ada-${user.email.slice(0, 8)}`;
  expect((await agents.patch('/org', { slug, name: 'Ada Inc.' })).body).toMatchObject({ slug, name: 'Ada Inc.' });
  for (const other of ['api', 'app', 'agents', 'public']) {
    expectError(await agents.patch('/org', { slug: other }), 'CONFLICT', 409);
  }
  for (const other of ['', 'Ada', 'a b', '-a', 'a'.repeat(65)]) {
    const { errors } = expectError(await agents.patch('/org', { slug: other }), 'INVALID_INPUT', 400);
    expect(errors[0].pointer).toBe('/slug');
  }
  const stranger = createAgents(orchflow.url, await orchflow.register());
  expect(expectError(await stranger.patch('/org', { slug }), 'CONFLICT', 409).reason).toBe('SLUG_TAKEN');
  await agents.publish({ name: 'reader', is_public: true });
  expect(expectError(await agents.patch('/org', { slug: `${slug}-2` }), 'CONFLICT', 409).reason).toBe('SLUG_IN_USE');
  expect((await agents.patch('/org', { slug })).status).toBe(200);
});

test("a slug under which agents were public is nobody else's, whatever becomes of its account", async () => {
  const { db } = orchflow;
  const slug = `tools-${user.email.slice(0, 8)}`;
  await agents.patch('/org', { slug });
  const { agent } = await agents.publish({ name: 'scan', is_public: true });
  await agents.patch(`/agents/${agent.id}`, { is_public: false });
  expect((await agents.patch('/org', { slug: `${slug}-2` })).status).toBe(200);
  const registered = await send(
    orchflow.url,
    'POST',
    '/api/v1/auth/register',
    { 'content-type': 'application/json' },
    JSON.stringify({ name: slug, email: `dave-${user.email}` }),
  );
  const dave = createAgents(orchflow.url, registered.body);
  expect(await dave.slug()).not.toBe(slug);
  const isRefused = async () =>
    expectError(await dave.patch('/org', { slug }), 'CONFLICT', 409).reason === 'SLUG_TAKEN';
  expect(await isRefused()).toBe(true);
  // Only what was public is kept.
  expect((await agents.patch('/org', { slug })).body.slug).toBe(slug);
  expect((await dave.patch('/org', { slug: `${slug}-2` })).status).toBe(200);

  const { account_id } = (await findAccountByEmail(db, user.email))!;
  for (let n = 1; n < 10; n += 1)
    await db
      .insertInto('kept_slugs')
      .values({ account_id, slug: `${slug}-kept-${n}` })
      .execute();
  expect(expectError(await agents.patch('/org', { slug: `${slug}-3` }), 'CONFLICT', 409).reason).toBe('SLUG_IN_USE');
  expect((await agents.patch('/org', { slug: `${slug}-kept-1` })).status).toBe(200);
  await closeAccount(db, account_id);
  expect(await deleteClosedAccount(db, account_id)).toBe(true);
  expect(await isRefused()).toBe(true);
});

test('an agent has keys of its own, which call agents and do nothing else, and go with it', async () => {
  const { agent, service_key } = await agents.publish({ name: 'coder', type: 'tool' });
  const path = `/agents/${agent.id}/keys`;
  const { body: made } = await agents.post(path);
  expect(made.key).toMatch(/^sk_/);
  const { keys } = (await agents.get(path)).body;
  expect(keys.map(({ prefix }: any) => prefix)).toEqual([made.key.slice(0, 7), service_key.slice(0, 7)]);
  const code = createAgents(orchflow.url, { api_key: service_key });
  expectError(await code.post(`/${await agents.slug()}/coder/v2/run`, {}), 'NOT_FOUND', 404);
  // No organisation can have this one, and the answer is of a call all the same.
  expectError(await code.post('/%C2%8D/coder/v2/run', {}), 'NOT_FOUND', 404);
  expectError(await code.get(`/agents/${agent.id}`), 'FORBIDDEN', 403);
  expectError(await code.post('/agents', { name: 'other' }), 'FORBIDDEN', 403);
  for (const [method, other] of [
    ['GET', '/api/v1/runs'],
    ['POST', '/api/v1/runs'],
    ['GET', '/v1/runs'],
    ['GET', '/usage'],
  ]) {
    const more = method === 'POST' ? [{ task: 'Compare.' }] : [];
    expect((await code.call(method!, other!, ...more)).status, `${method} ${other}`).toBe(403);
  }
  expectError(await code.post(path), 'FORBIDDEN', 403);
  expect((await agents.get('/api-keys')).body.keys).toHaveLength(1);
  expect((await agents.delete(`${path}/${made.id}`)).body).toEqual({ deleted: true });
  expectError(await agents.delete(`${path}/${made.id}`), 'NOT_FOUND', 404);
  for (let more = 9; more > 0; more -= 1) expect((await agents.post(path)).status).toBe(200);
  expectError(await agents.post(path), 'RATE_LIMITED', 429);
  await agents.delete(`/agents/${agent.id}`);
  const left = orchflow.db.selectFrom('api_keys').select('key_id').where('agent_id', '=', agent.agent_id);
  expect(await left.execute()).toEqual([]);
});

test('whose key may make none gets no key for an agent, and hears of it', async () => {
  const { api_key } = (await user.post('/keys', { name: 'CI', scopes: ['agents:read', 'agents:write'] })).body;
  const ci = createAgents(orchflow.url, { api_key });
  const { service_key, warnings } = await ci.publish({ name: 'coder', type: 'tool' });
  expect(service_key).toBeUndefined();
  expect(warnings).toEqual([expect.stringContaining('service_key')]);
  const one = { 'idempotency-key': 'publish' };
  const { body } = await agents.post('/agents', { name: 'caller', type: 'tool' }, one);
  expect(body.service_key).toMatch(/^sk_/);
  expect((await agents.post('/agents', { name: 'caller', type: 'tool' }, one)).body).toEqual(body);
  const { status } = await ci.post('/agents', { name: 'caller', type: 'tool' }, one);
  expect(status).toBe(422);
});

test('API keys in words of orchagent', async () => {
  const { body: made } = await agents.post('/api-keys', { name: 'Laptop', scopes: ['agents:read'] });
  expect(made).toMatchObject({ name: 'Laptop', scopes: ['agents:read'], key: expect.stringMatching(/^sk_\w{49}$/) });
  expect(made.prefix).toBe(made.key.slice(0, 7));
  expect((await createAgents(orchflow.url, { api_key: made.key }).get('/org')).status).toBe(200);
  const { body: all } = await agents.post('/api-keys');
  expect(all).toMatchObject({ name: 'API key', scopes: ['*'] });
  const { keys } = (await agents.get('/api-keys')).body;
  expect(keys.map(({ id }: any) => id).slice(0, 2)).toEqual([all.id, made.id]);
  expect(JSON.stringify(keys)).not.toContain(made.key);
  expect((await agents.delete(`/api-keys/${made.id}`)).body).toEqual({ deleted: true });
  expectError(await agents.delete(`/api-keys/${made.id}`), 'NOT_FOUND', 404);
  await agents.delete(`/api-keys/${keys[2].id}`);
  const left = createAgents(orchflow.url, { api_key: all.key });
  expect(expectError(await left.delete(`/api-keys/${all.id}`), 'CONFLICT', 409).reason).toBe('LAST_KEY');
});

test('what is not offered yet, and what looks like a call, is not found in the envelope', async () => {
  const later = [
    '/billing/credits',
    '/storage',
    '/tasks',
    '/messages/x',
    '/workspaces/w/schedules',
    '/workspaces/w/secrets/y',
    '/webhooks/s/secret',
  ];
  for (const path of later) {
    const { message } = expectError(await agents.get(path), 'NOT_FOUND', 404);
    expect(message, path).toContain('comes later');
  }
  const login = await send(orchflow.url, 'POST', '/auth/cli-init', { 'content-type': 'application/json' }, '{}');
  expect(expectError(login, 'NOT_FOUND', 404).message).toContain('orch login --key');
  const elsewhere = { 'x-workspace-id': '00000000-0000-8000-8000-000000000000' };
  expect(expectError(await agents.post('/acme/x/v1/run', {}, elsewhere), 'NOT_FOUND', 404).message).toContain(
    'Workspace',
  );
  for (const path of ['/ACME/x/v1/run', '/acme/x/v1/run/', '/agents/x/y/z/v'])
    expectError(await agents.get(path), 'NOT_FOUND', 404);
});
