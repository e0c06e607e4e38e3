import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { sql } from 'kysely';
import * as openid from 'openid-client';
import { findAccountByEmail, setSuspended } from '../../db/accounts.ts';
import {
  begin,
  discover,
  letIn,
  openBrowser,
  openConsent,
  registerClient,
  untilAnswers,
  type Registered,
} from '../harness/oauth.ts';
import { createUser, startOrchflow, type Orchflow, type User } from '../harness/orchflow.ts';
import { expectProblem } from '../harness/problem.ts';
import { send } from '../harness/raw.ts';

/** How far it goes what somebody has let a client do. Two API processes on one database; openid-client is the client. */

let apis: [Orchflow, Orchflow];
let developer: User;
let user: User;
let client: Registered;
let config: openid.Configuration;

beforeAll(async () => {
  // What is taken no more is asked for until it is not.
  const environment = { FAILED_KEYS_LIMIT_PER_MINUTE: '0', OAUTH_LIMIT_PER_MINUTE: '0' };
  const first = await startOrchflow({ environment });
  const { DATABASE_URL = '', ENCRYPTION_KEY = '' } = first.env;
  const shared = { ...environment, DATABASE_URL, ENCRYPTION_KEY, PUBLIC_URL: first.url };
  apis = [first, await startOrchflow({ environment: shared, worker: false })];
});
afterAll(() => Promise.all(apis.map((api) => api.stop())));
beforeEach(async () => {
  [developer, user] = await Promise.all([apis[0].register(), apis[0].register()]);
  client = await registerClient(apis[0].url, developer, { type: 'public' });
  config = await discover(apis[0].url, client);
});

const tokenRequest = (fields: Record<string, string>, { url } = apis[0]) =>
  send(
    url,
    'POST',
    '/v1/oauth/token',
    { 'content-type': 'application/x-www-form-urlencoded' },
    new URLSearchParams({ client_id: client.client_id, ...fields }).toString(),
  );

test('no client is given a key or a secret that outlasts it', async () => {
  const asked = { scope: 'people:read people:write webhooks:read webhooks:write batch:write' };
  client = await registerClient(apis[0].url, developer, { type: 'public', scopes: asked.scope.split(' ') });
  config = await discover(apis[0].url, client);
  const { access_token } = await letIn(config, user.api_key, asked);
  const asClient = createUser(apis[0].url, access_token, '', '');
  const { person_id } = (await user.post('/people', { name: 'Ben' })).body;
  const hook = { url: 'https://example.com/hook', events: ['agent.run.failed'] };
  const { subscription_id } = (await user.post('/webhooks/subscriptions', { url: hook.url })).body;
  for (const [path, body] of [
    ['/people', { name: 'Eve' }],
    [`/people/${person_id}/key`, undefined],
    ['/webhooks/secret/rotate', undefined],
    ['/webhooks/subscriptions', { url: hook.url }],
    [`/webhooks/subscriptions/${subscription_id}/rotate-secret`, undefined],
  ] as const) {
    expectProblem(await asClient.insist('POST', path, body), { status: 403, code: 'NOT_FOR_CLIENTS' });
  }
  const batch = { operations: [{ method: 'POST', path: '/v1/webhooks', body: hook }] };
  const headers = { authorization: `Bearer ${access_token}`, 'content-type': 'application/json' };
  const { body } = await send(apis[0].url, 'POST', '/v1/batch', headers, JSON.stringify(batch));
  expect(body.results).toMatchObject([{ status: 403, body: { code: 'NOT_FOR_CLIENTS' } }]);
  expect((await asClient.get('/people')).body.people).toMatchObject([{ person_id }]);
  expect((await user.patch(`/people/${person_id}`, { name: 'Benjamin' })).status).toBe(200);
});

test('an Idempotency-Key of a client is none of the account, nor of another client', async () => {
  const another = await discover(apis[0].url, await registerClient(apis[0].url, developer, { type: 'public' }));
  const asked = { scope: 'runs:write' };
  const keys = [user.api_key];
  for (const one of [config, another]) keys.push((await letIn(one, user.api_key, asked)).access_token);
  const ids = new Set<string>();
  for (const key of keys) {
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'idempotency-key': 'once' };
    const { body } = await send(apis[0].url, 'POST', '/api/v1/runs', headers, JSON.stringify({ task: 'Compare.' }));
    ids.add(body.run_id);
  }
  expect(ids.size).toBe(3);
});

test('a refresh uses a token that is kept for a day more, and there are so many in an hour', async () => {
  const { db } = apis[0];
  const given = await openid.refreshTokenGrant(config, (await letIn(config, user.api_key)).refresh_token!);
  const ofClient = sql`client_id = ${client.client_id} and kind = 'RefreshToken' and uses = 1`;
  const { rows } = await sql<{ days: number }>`
    select extract(epoch from expires_at - now())::float8 / 86400 as days from oauth_artifacts where ${ofClient}`.execute(
    db,
  );
  expect(rows).toEqual([{ days: expect.closeTo(1, 2) }]);
  await sql`
    insert into oauth_artifacts (id_sha256, kind, client_id, grant_id, payload, uses, used_at, expires_at)
    select id_sha256 || n, kind, client_id, grant_id, payload, uses, used_at, expires_at
    from oauth_artifacts, generate_series(1, 59) as n where ${ofClient}`.execute(db);
  const refused = await tokenRequest({ grant_type: 'refresh_token', refresh_token: given.refresh_token! });
  expect(refused).toMatchObject({ status: 429, body: { error: 'temporarily_unavailable' } });
  await sql`update oauth_artifacts set used_at = now() - interval '61 minutes' where ${ofClient}`.execute(db);
  expect((await openid.refreshTokenGrant(config, given.refresh_token!)).access_token).toMatch(/^os_oat_/);
});

test('a refresh is refused as such when what it is of goes in the same moment', async () => {
  const { db } = apis[0];
  const { refresh_token } = await letIn(config, user.api_key);
  await sql`create function lose_grant() returns trigger language plpgsql as
    'begin delete from oauth_grants where grant_id = new.grant_id; return new; end'`.execute(db);
  await sql`create trigger lose_grant before insert on api_keys for each row execute function lose_grant()`.execute(db);
  try {
    const answer = await tokenRequest({ grant_type: 'refresh_token', refresh_token: refresh_token! });
    expect(answer).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
  } finally {
    await sql`drop function lose_grant() cascade`.execute(db);
  }
});

test('a token is taken no more when the account ends this grant, and no other', async () => {
  const headers = { 'x-api-key': user.api_key };
  const [one, other] = [await letIn(config, user.api_key), await letIn(config, user.api_key)];
  const list = async (query = '') => (await send(apis[0].url, 'GET', `/v1/oauth/grants${query}`, headers)).body;
  const first = await list('?limit=1&sort=created_at');
  const [{ grant_id, ...grant }] = first.grants;
  const { client_id } = client;
  expect(grant).toEqual({
    client_id,
    name: 'Acme Inbox',
    scopes: ['runs:read', 'agents:read'],
    key_id: expect.stringMatching(/^key_/),
    created_at: expect.any(String),
    expires_at: expect.any(String),
  });
  const next = await list(`?limit=1&sort=created_at&cursor=${first.next_cursor}`);
  expect(next).toMatchObject({ grants: [{ client_id }], has_more: false });
  expect(next.grants[0].grant_id).not.toBe(grant_id);
  const path = `/v1/oauth/grants/${grant_id}`;
  expect((await send(apis[0].url, 'DELETE', path, { 'x-api-key': developer.api_key })).status).toBe(404);
  expect((await send(apis[0].url, 'DELETE', path, headers)).status).toBe(200);
  await untilAnswers(apis[1].url, one.access_token, 401);
  await expect(openid.refreshTokenGrant(config, one.refresh_token!)).rejects.toMatchObject({
    error: 'invalid_grant',
  });
  await untilAnswers(apis[1].url, other.access_token, 200);
  expect((await list()).grants).toMatchObject([{ grant_id: next.grants[0].grant_id }]);
});

test('a token is not taken while the account that has registered the client is suspended', async () => {
  const { access_token, refresh_token } = await letIn(config, user.api_key);
  await untilAnswers(apis[1].url, access_token, 200);
  const { db } = apis[0];
  const { account_id } = (await findAccountByEmail(db, developer.email))!;
  await setSuspended(db, account_id, true);
  await untilAnswers(apis[1].url, access_token, 401);
  expect((await openBrowser().go((await begin(config)).url)).response.status).toBe(400);
  await expect(openid.refreshTokenGrant(config, refresh_token!)).rejects.toMatchObject({ error: 'invalid_client' });
  await setSuspended(db, account_id, false);
  await untilAnswers(apis[1].url, access_token, 200);
});

test('whoever is asked reads in words what each scope is', async () => {
  const { body } = await send(apis[0].url, 'GET', '/.well-known/oauth-authorization-server');
  const scopes: string[] = body.scopes_supported;
  const all = await registerClient(apis[0].url, developer, { type: 'public', scopes });
  const browser = openBrowser();
  const { url } = await begin(await discover(apis[0].url, all), { scope: scopes.join(' ') });
  const { text } = await browser.go(await openConsent(browser, url));
  for (const scope of scopes) expect(text).toMatch(new RegExp(`<code>${scope}</code> to [a-z]+,? [a-z]`));
  expect(text).toContain('<code>batch:write</code> to do several things in one request');
});
