import { expect, test } from 'vitest';
import { sql } from 'kysely';
import * as openid from 'openid-client';
import { findAccountByEmail, setSuspended } from '../../db/accounts.ts';
import { begin, discover, letIn, openBrowser, openConsent, registerClient, untilAnswers } from '../harness/oauth.ts';
import { useOAuth } from '../harness/oauth-story.ts';
import { createUser } from '../harness/orchflow.ts';
import { expectProblem } from '../harness/problem.ts';
import { send } from '../harness/raw.ts';

/** How far it goes what somebody has let a client do. Two API processes on one database; openid-client is the client. */

const story = useOAuth();

test('no client makes keys or clients, is given a secret, or starts a program; what it has changed stays', async () => {
  const asked = { scope: 'people:read people:write webhooks:read webhooks:write tools:write batch:write' };
  await story.setClient({ type: 'public', scopes: asked.scope.split(' ') });
  const { access_token } = await letIn(story.config, story.user.api_key, asked);
  const asClient = createUser(story.apis[0].url, access_token, '', '');
  const { person_id } = (await story.user.post('/people', { name: 'Ben' })).body;
  const hook = { url: 'https://example.com/hook', events: ['agent.run.failed'] };
  const { subscription_id } = (await story.user.post('/webhooks/subscriptions', { url: hook.url, events: ['*'] })).body;
  for (const [path, body] of [
    ['/people', { name: 'Eve' }],
    [`/people/${person_id}/key`, undefined],
    ['/webhooks/secret/rotate', undefined],
    ['/webhooks/subscriptions', { url: hook.url }],
    [`/webhooks/subscriptions/${subscription_id}/rotate-secret`, undefined],
    ['/tools/mcp', { name: 'shell', command: 'sh' }],
  ] as const) {
    expectProblem(await asClient.insist('POST', path, body), { status: 403, code: 'NOT_FOR_CLIENTS' });
  }
  const batch = { operations: [{ method: 'POST', path: '/v1/webhooks', body: hook }] };
  const headers = { authorization: `Bearer ${access_token}`, 'content-type': 'application/json' };
  for (const path of ['/api/v1/keys', '/v1/api-keys', '/v1/oauth/clients']) {
    const answer = await send(story.apis[0].url, 'POST', path, headers, JSON.stringify({ name: 'Mine', scopes: [] }));
    expect(answer).toMatchObject({ status: 403, body: { code: 'MISSING_SCOPE' } });
  }
  const { body } = await send(story.apis[0].url, 'POST', '/v1/batch', headers, JSON.stringify(batch));
  expect(body.results).toMatchObject([{ status: 403, body: { code: 'NOT_FOR_CLIENTS' } }]);
  expect((await asClient.get('/people')).body.people).toMatchObject([{ person_id }]);
  expect((await story.user.patch(`/people/${person_id}`, { name: 'Benjamin' })).status).toBe(200);

  // As the page says on which people consent.
  const path = `/webhooks/subscriptions/${subscription_id}`;
  expect((await asClient.patch(path, { url: 'https://example.com/theirs' })).status).toBe(200);
  const own = { 'x-api-key': story.user.api_key };
  const [{ grant_id }] = (await send(story.apis[0].url, 'GET', '/v1/oauth/grants', own)).body.grants;
  expect((await send(story.apis[0].url, 'DELETE', `/v1/oauth/grants/${grant_id}`, own)).status).toBe(200);
  await untilAnswers(story.apis[1].url, access_token, 401);
  expect((await story.user.get(path)).body.url).toBe('https://example.com/theirs');
});

test('an Idempotency-Key of a client is none of the account, nor of another client', async () => {
  const another = await discover(
    story.apis[0].url,
    await registerClient(story.apis[0].url, story.developer, { type: 'public' }),
  );
  const asked = { scope: 'runs:write' };
  const keys = [story.user.api_key];
  for (const one of [story.config, another]) keys.push((await letIn(one, story.user.api_key, asked)).access_token);
  const ids = new Set<string>();
  for (const key of keys) {
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'idempotency-key': 'once' };
    const { body } = await send(
      story.apis[0].url,
      'POST',
      '/api/v1/runs',
      headers,
      JSON.stringify({ task: 'Compare.' }),
    );
    ids.add(body.run_id);
  }
  expect(ids.size).toBe(3);
});

test('a refresh uses a token that is kept for a day more, and there are so many in an hour', async () => {
  const { db } = story.apis[0];
  const given = await openid.refreshTokenGrant(
    story.config,
    (await letIn(story.config, story.user.api_key)).refresh_token!,
  );
  const ofClient = sql`client_id = ${story.client.client_id} and kind = 'RefreshToken' and uses = 1`;
  const { rows } = await sql<{ days: number }>`
    select extract(epoch from expires_at - now())::float8 / 86400 as days from oauth_artifacts where ${ofClient}`.execute(
    db,
  );
  expect(rows).toEqual([{ days: expect.closeTo(1, 2) }]);
  await sql`
    insert into oauth_artifacts (id_sha256, kind, client_id, grant_id, payload, uses, used_at, expires_at)
    select id_sha256 || n, kind, client_id, grant_id, payload, uses, used_at, expires_at
    from oauth_artifacts, generate_series(1, 59) as n where ${ofClient}`.execute(db);
  const refused = await story.tokenRequest({ grant_type: 'refresh_token', refresh_token: given.refresh_token! });
  expect(refused).toMatchObject({ status: 429, body: { error: 'temporarily_unavailable' } });
  await sql`update oauth_artifacts set used_at = now() - interval '61 minutes' where ${ofClient}`.execute(db);
  expect((await openid.refreshTokenGrant(story.config, given.refresh_token!)).access_token).toMatch(/^os_oat_/);
});

test('a refresh is refused as such when what it is of goes in the same moment', async () => {
  const { db } = story.apis[0];
  const { refresh_token } = await letIn(story.config, story.user.api_key);
  await sql`create function lose_grant() returns trigger language plpgsql as
    'begin delete from oauth_grants where grant_id = new.grant_id; return new; end'`.execute(db);
  await sql`create trigger lose_grant before insert on api_keys for each row execute function lose_grant()`.execute(db);
  try {
    const answer = await story.tokenRequest({ grant_type: 'refresh_token', refresh_token: refresh_token! });
    expect(answer).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
  } finally {
    await sql`drop function lose_grant() cascade`.execute(db);
  }
});

test('a token is taken no more when the account ends this grant, and no other', async () => {
  const headers = { 'x-api-key': story.user.api_key };
  const [one, other] = [await letIn(story.config, story.user.api_key), await letIn(story.config, story.user.api_key)];
  const list = async (query = '') => (await send(story.apis[0].url, 'GET', `/v1/oauth/grants${query}`, headers)).body;
  const first = await list('?limit=1&sort=created_at');
  const [{ grant_id, ...grant }] = first.grants;
  const { client_id } = story.client;
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
  expect((await send(story.apis[0].url, 'DELETE', path, { 'x-api-key': story.developer.api_key })).status).toBe(404);
  expect((await send(story.apis[0].url, 'DELETE', path, headers)).status).toBe(200);
  await untilAnswers(story.apis[1].url, one.access_token, 401);
  await expect(openid.refreshTokenGrant(story.config, one.refresh_token!)).rejects.toMatchObject({
    error: 'invalid_grant',
  });
  await untilAnswers(story.apis[1].url, other.access_token, 200);
  expect((await list()).grants).toMatchObject([{ grant_id: next.grants[0].grant_id }]);
});

test('a token is not taken while the account that has registered the client is suspended', async () => {
  const { access_token, refresh_token } = await letIn(story.config, story.user.api_key);
  await untilAnswers(story.apis[1].url, access_token, 200);
  const { db } = story.apis[0];
  const { account_id } = (await findAccountByEmail(db, story.developer.email))!;
  await setSuspended(db, account_id, true);
  await untilAnswers(story.apis[1].url, access_token, 401);
  expect((await openBrowser().go((await begin(story.config)).url)).response.status).toBe(400);
  await expect(openid.refreshTokenGrant(story.config, refresh_token!)).rejects.toMatchObject({
    error: 'invalid_client',
  });
  await setSuspended(db, account_id, false);
  await untilAnswers(story.apis[1].url, access_token, 200);
});

test('whoever is asked reads in words what each scope is', async () => {
  const { body } = await send(story.apis[0].url, 'GET', '/.well-known/oauth-authorization-server');
  const scopes: string[] = body.scopes_supported;
  const all = await registerClient(story.apis[0].url, story.developer, { type: 'public', scopes });
  const browser = openBrowser();
  const { url } = await begin(await discover(story.apis[0].url, all), { scope: scopes.join(' ') });
  const { text } = await browser.go(await openConsent(browser, url));
  expect(text).toContain('What it makes or changes stays so when you end this');
  for (const scope of scopes) expect(text).toMatch(new RegExp(`<code>${scope}</code> to [a-z]+,? [a-z]`));
  expect(text).toContain('<code>batch:write</code> to do several things in one request');
});
