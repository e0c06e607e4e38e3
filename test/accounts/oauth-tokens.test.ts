import { describe, expect, test } from 'vitest';
import { sql } from 'kysely';
import * as openid from 'openid-client';
import { findAccountByEmail, setSuspended } from '../../db/accounts.ts';
import { deleteExpiredGrants } from '../../db/oauth.ts';
import { deleteAccount } from '../../src/accounts/deletion.ts';
import { begin, discover, letIn, openBrowser, registerClient, untilAnswers } from '../harness/oauth.ts';
import { useOAuth } from '../harness/oauth-story.ts';
import { createUser, until, type Orchflow } from '../harness/orchflow.ts';
import { send } from '../harness/raw.ts';

/** What OAuth clients are given. Two API processes on one database; openid-client is the client. */

const story = useOAuth();

describe('a client that somebody has let', () => {
  test('gets tokens, with which it does what it may, in its own name, at every process', async () => {
    const key = await story.keyWith(['*']);
    const tokens = await letIn(story.config, key.api_key, { scope: 'runs:read runs:write' });
    expect(tokens).toMatchObject({ token_type: 'bearer', expires_in: 3_600, scope: 'runs:read runs:write' });
    expect(tokens.access_token).toMatch(/^os_oat_[0-9A-Za-z]{49}$/);
    expect(tokens.refresh_token).toMatch(/^os_ort_[0-9A-Za-z]{49}$/);
    for (const { url } of story.apis) {
      const asClient = createUser(url, tokens.access_token, '', '');
      const { body } = await asClient.post('/runs', { task: 'Compare three note apps.' });
      const audit = (await story.user.get(`/runs/${body.run_id}/audit`)).body;
      const by = { kind: 'client', id: story.client.client_id, name: 'Acme Inbox', on_behalf_of: null };
      expect(audit.events[0]).toMatchObject({ type: 'run.created', data: { by } });
      expect((await asClient.get('/agents')).status).toBe(403);
      expect((await asClient.post('/keys', { name: 'Mine', scopes: ['runs:read'] })).status).toBe(403);
    }
    // The list has no tokens, and its use is that of the key.
    const { keys } = (await story.user.get('/keys')).body;
    expect(keys).toMatchObject([{ key_id: key.key_id, last_used_at: expect.any(String) }, { name: 'First key' }]);
  });
});

describe('a code', () => {
  test('works once when it is exchanged ten times at the same moment', async () => {
    const request = await story.codeRequest();
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, index) => story.tokenRequest(request, story.apis[index % 2])),
    );
    const given = answers.filter(({ status }) => status === 200);
    expect(given).toHaveLength(1);
    for (const { status, body } of answers.filter((answer) => answer !== given[0])) {
      expect({ status, error: body.error }).toEqual({ status: 400, error: 'invalid_grant' });
    }
  });

  test('gives what is good to the one of those that were all on the way when it was used', async () => {
    const request = await story.codeRequest();
    const release = Promise.withResolvers<void>();
    const { db } = story.apis[0];
    const holding = db.transaction().execute(async (trx) => {
      await sql`select 1 from oauth_artifacts where kind = 'AuthorizationCode' for update`.execute(trx);
      await release.promise;
    });
    const exchanges = [0, 1, 0].map((index) => story.tokenRequest(request, story.apis[index]));
    await until(async () => {
      const { rows } = await sql`select 1 from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'`.execute(db);
      return rows.length === 3;
    }, 'all of them would use it').finally(release.resolve);
    await holding;
    const answers = await Promise.all(exchanges);
    expect(answers.filter(({ status }) => status === 400)).toHaveLength(2);
    const { body } = answers.find(({ status }) => status === 200)!;
    await untilAnswers(story.apis[1].url, body.access_token, 200);
  });

  test('that comes again takes back what it gave', async () => {
    const request = await story.codeRequest();
    const { body: tokens } = await story.tokenRequest(request);
    await untilAnswers(story.apis[0].url, tokens.access_token, 200);
    const again = await story.tokenRequest(request, story.apis[1]);
    expect([again.status, again.body.error]).toEqual([400, 'invalid_grant']);
    await untilAnswers(story.apis[0].url, tokens.access_token, 401);
    const refresh = await story.tokenRequest({ grant_type: 'refresh_token', refresh_token: tokens.refresh_token });
    expect([refresh.status, refresh.body.error]).toEqual([400, 'invalid_grant']);
  });

  test.each<[string, Record<string, string>]>([
    ['another verifier', { code_verifier: 'x'.repeat(43) }],
    ['no verifier', { code_verifier: '' }],
    ['another address', { redirect_uri: 'https://app.example.com/other' }],
    ['another code', { code: 'os_oac_x' }],
  ])('is not exchanged with %s', async (_, other) => {
    const { status, body } = await story.tokenRequest({ ...(await story.codeRequest()), ...other });
    expect(status, JSON.stringify(body)).toBe(400);
    expect(['invalid_grant', 'invalid_request']).toContain(body.error);
  });

  test('is not exchanged by another client, nor once it has expired', async () => {
    const request = await story.codeRequest();
    const other = await registerClient(story.apis[0].url, story.developer, { type: 'public' });
    expect((await story.tokenRequest({ ...request, client_id: other.client_id })).body.error).toBe('invalid_grant');
    await story.apis[0].db
      .updateTable('oauth_artifacts')
      .set({ payload: sql<string>`(payload::jsonb || '{"exp": 1}')::json` })
      .where('kind', '=', 'AuthorizationCode')
      .execute();
    expect((await story.tokenRequest(request)).body.error).toBe('invalid_grant');
  });

  test('is kept by its hash, as tokens are', async () => {
    const request = await story.codeRequest();
    const { body: tokens } = await story.tokenRequest(request);
    const { rows } = await sql<{ text: string }>`
      select coalesce((select string_agg(a::text, '') from oauth_artifacts a), '')
        || (select string_agg(k::text, '') from api_keys k) as text`.execute(story.apis[0].db);
    for (const secret of [request.code, tokens.access_token, tokens.refresh_token]) {
      expect(rows[0]!.text).not.toContain(secret);
    }
  });
});

describe('a refresh', () => {
  test('gives other tokens; two at the same moment both do, at two processes', async () => {
    const first = await letIn(story.config, story.user.api_key);
    const refresh = (api: Orchflow) =>
      story.tokenRequest({ grant_type: 'refresh_token', refresh_token: first.refresh_token! }, api);
    const both = await Promise.all(story.apis.map(refresh));
    expect(both.map(({ status }) => status)).toEqual([200, 200]);
    const tokens = both.map(({ body }) => body);
    expect(new Set([first, ...tokens].map(({ refresh_token }) => refresh_token)).size).toBe(3);
    for (const { access_token, scope } of tokens) {
      expect(scope).toBe('runs:read agents:read');
      await untilAnswers(story.apis[0].url, access_token, 200);
    }
    for (const { refresh_token } of tokens) {
      expect((await openid.refreshTokenGrant(story.config, refresh_token)).access_token).toMatch(/^os_oat_/);
    }
  });

  test('with a token that was refreshed long ago takes back all', async () => {
    const first = await letIn(story.config, story.user.api_key);
    const second = await openid.refreshTokenGrant(story.config, first.refresh_token!);
    await story.apis[0].db
      .updateTable('oauth_artifacts')
      .set({ used_at: sql<string>`now() - interval '1 minute'` })
      .where('used_at', 'is not', null)
      .execute();
    const stolen = await story.tokenRequest({ grant_type: 'refresh_token', refresh_token: first.refresh_token! });
    expect([stolen.status, stolen.body.error]).toEqual([400, 'invalid_grant']);
    for (const { access_token } of [first, second]) await untilAnswers(story.apis[1].url, access_token, 401);
    const next = await story.tokenRequest({ grant_type: 'refresh_token', refresh_token: second.refresh_token! });
    expect(next.body.error).toBe('invalid_grant');
  });

  test('can ask for less, and not for more', async () => {
    const { refresh_token } = await letIn(story.config, story.user.api_key);
    const less = await openid.refreshTokenGrant(story.config, refresh_token!, { scope: 'runs:read' });
    expect(less.scope).toBe('runs:read');
    const more = { grant_type: 'refresh_token', refresh_token: less.refresh_token!, scope: 'runs:read runs:write' };
    expect((await story.tokenRequest(more)).body.error).toBe('invalid_scope');
  });
});

describe('what was given is taken no more', () => {
  test('when the client gives it back', async () => {
    const { access_token, refresh_token } = await letIn(story.config, story.user.api_key);
    await untilAnswers(story.apis[1].url, access_token, 200);
    await openid.tokenRevocation(story.config, refresh_token!);
    await untilAnswers(story.apis[1].url, access_token, 401);
    await untilAnswers(story.apis[0].url, access_token, 401);
    await expect(openid.refreshTokenGrant(story.config, refresh_token!)).rejects.toMatchObject({
      error: 'invalid_grant',
    });
  });

  test('by another client, which may not give it back', async () => {
    const { access_token } = await letIn(story.config, story.user.api_key);
    const other = await discover(
      story.apis[0].url,
      await registerClient(story.apis[0].url, story.developer, { type: 'public' }),
    );
    await openid.tokenRevocation(other, access_token);
    await untilAnswers(story.apis[0].url, access_token, 200);
  });

  test('when the key that has consented is deleted, or has expired', async () => {
    const key = await story.keyWith(['runs:read', 'agents:read']);
    const expiring = await story.keyWith(['runs:read', 'agents:read'], story.user, { expires_in: '90d' });
    const [one, other] = [await letIn(story.config, key.api_key), await letIn(story.config, expiring.api_key)];
    await untilAnswers(story.apis[1].url, one.access_token, 200);
    expect((await story.user.delete(`/keys/${key.key_id}`)).status).toBe(200);
    await untilAnswers(story.apis[1].url, one.access_token, 401);
    await expect(openid.refreshTokenGrant(story.config, one.refresh_token!)).rejects.toMatchObject({
      error: 'invalid_grant',
    });

    await story.apis[0].db
      .updateTable('api_keys')
      .set({ expires_at: sql<string>`now()` })
      .where('key_id', '=', expiring.key_id)
      .execute();
    await expect(openid.refreshTokenGrant(story.config, other.refresh_token!)).rejects.toMatchObject({
      error: 'invalid_grant',
    });
  });

  test('not for longer than the key lasts', async () => {
    const { api_key, key_id } = await story.keyWith(['runs:read', 'agents:read'], story.user, { expires_in: '10s' });
    await letIn(story.config, api_key);
    const ends = await story.apis[0].db
      .selectFrom('api_keys')
      .select(['expires_at', 'grant_id'])
      .where((eb) =>
        eb.or([
          eb('key_id', '=', key_id),
          eb('grant_id', 'in', eb.selectFrom('oauth_grants').select('grant_id').where('key_id', '=', key_id)),
        ]),
      )
      .execute();
    expect(ends).toHaveLength(2);
    expect(new Set(ends.map(({ expires_at }) => expires_at)).size).toBe(1);
  });

  test('when the account is suspended, or deleted', async () => {
    const { access_token } = await letIn(story.config, story.user.api_key);
    await untilAnswers(story.apis[1].url, access_token, 200);
    const { db } = story.apis[0];
    const { account_id } = (await findAccountByEmail(db, story.user.email))!;
    await setSuspended(db, account_id, true);
    await untilAnswers(story.apis[1].url, access_token, 403);
    await deleteAccount(db, account_id);
    await untilAnswers(story.apis[1].url, access_token, 401);
    // Whoever has registered the client takes it along too.
    const others = await story.apis[0].register();
    const given = await letIn(story.config, others.api_key);
    await deleteAccount(db, (await findAccountByEmail(db, story.developer.email))!.account_id);
    await untilAnswers(story.apis[1].url, given.access_token, 401);
  });

  test('when the client is deleted', async () => {
    const { access_token } = await letIn(story.config, story.user.api_key);
    const path = `/v1/oauth/clients/${story.client.client_id}`;
    const { status } = await send(story.apis[0].url, 'DELETE', path, { 'x-api-key': story.developer.api_key });
    expect(status).toBe(200);
    await untilAnswers(story.apis[1].url, access_token, 401);
    const { url } = await begin(story.config);
    expect((await openBrowser().go(url)).response.status).toBe(400);
  });

  test('once housekeeping has been, of what has expired nothing is left', async () => {
    await letIn(story.config, story.user.api_key);
    const { db } = story.apis[0];
    await sql`update oauth_artifacts set expires_at = now()`.execute(db);
    await sql`update oauth_grants set expires_at = now()`.execute(db);
    await deleteExpiredGrants(db);
    const { rows } = await sql`select 1 from oauth_artifacts union all select 1 from oauth_grants
      union all select 1 from api_keys where grant_id is not null`.execute(db);
    expect(rows).toEqual([]);
  });
});
