import { afterAll, beforeAll, expect, test } from 'vitest';
import { sql } from 'kysely';
import { begin, discover, registerClient } from '../harness/oauth.ts';
import { startOrchflow, type Orchflow, type User } from '../harness/orchflow.ts';
import { send } from '../harness/raw.ts';

/** OAuth's requests on their way: by proxies, too many of them, and such as are none. A proxy at 127.0.0.1 is trusted. */

let orchflow: Orchflow;
let developer: User;

beforeAll(async () => {
  const limits = { OAUTH_LIMIT_PER_MINUTE: '6', FAILED_KEYS_LIMIT_PER_MINUTE: '2' };
  orchflow = await startOrchflow({ environment: { ...limits, TRUSTED_PROXIES: '127.0.0.0/8' }, worker: false });
  developer = await orchflow.register();
});
afterAll(() => orchflow.stop());

/** A request that comes by a proxy, from this address. */
const by = (from: string, method: string, path: string, body?: string, type = 'application/x-www-form-urlencoded') =>
  fetch(orchflow.url + path, {
    method,
    redirect: 'manual',
    body,
    headers: {
      'x-forwarded-for': from,
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'orchflow.example.com',
      ...(body !== undefined && { 'content-type': type }),
    },
  });

test('through a trusted proxy the addresses are those of the proxy, and cookies for https only', async () => {
  const metadata = await (await by('203.0.113.1', 'GET', '/.well-known/oauth-authorization-server')).json();
  expect(metadata).toMatchObject({
    issuer: 'https://orchflow.example.com',
    token_endpoint: 'https://orchflow.example.com/v1/oauth/token',
  });
  const { servers }: any = await (await by('203.0.113.1', 'GET', '/openapi.json')).json();
  expect(servers).toEqual([{ url: 'https://orchflow.example.com' }]);
  const client = await registerClient(orchflow.url, developer);
  const { url } = await begin(await discover(orchflow.url, client));
  const answer = await by('203.0.113.1', 'GET', url.pathname + url.search);
  expect(answer.headers.get('location')).toMatch(/^\/v1\/oauth\/consent\//);
  const cookies = answer.headers.getSetCookie();
  expect(cookies).toHaveLength(4);
  for (const cookie of cookies) expect(cookie).toMatch(/; samesite=lax; secure; httponly$/i);
});

test('an address makes so many requests a minute, and guesses so many secrets', async () => {
  const secret = await registerClient(orchflow.url, developer);
  const guess = new URLSearchParams({
    grant_type: 'refresh_token',
    refresh_token: 'x',
    ...secret,
    client_secret: 'x',
  });
  const ask = () => by('203.0.113.2', 'POST', '/v1/oauth/token', guess.toString());
  const answers = [];
  for (let left = 7; left > 0; left -= 1) answers.push(await ask());
  expect(answers.map(({ status }) => status)).toEqual([401, 401, 429, 429, 429, 429, 429]);
  const last = answers.at(-1)!;
  expect(await last.json()).toEqual({
    error: 'temporarily_unavailable',
    error_description: expect.stringContaining('At most 6 OAuth requests in 60 seconds.'),
  });
  expect(Number(last.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(last.headers.get('ratelimit-policy')).toBe('"oauth";q=6;w=60');
  expect((await by('203.0.113.3', 'POST', '/v1/oauth/token', guess.toString())).status).toBe(401);
});

test.each<[string, string, string, string | undefined, string | undefined, number]>([
  ['a body that is too long', 'POST', '/v1/oauth/token', `token=${'x'.repeat(1024 * 1024)}`, undefined, 413],
  ['a form that is too long', 'POST', '/v1/oauth/token', `token=${'x'.repeat(60 * 1024)}`, undefined, 400],
  ['JSON', 'POST', '/v1/oauth/token', '{}', 'application/json', 400],
  ['nothing', 'POST', '/v1/oauth/token', undefined, undefined, 400],
  ['another method', 'GET', '/v1/oauth/token', undefined, undefined, 405],
  ['a code of no grant type', 'POST', '/v1/oauth/token', 'grant_type=password&client_id=x', undefined, 401],
  ['nothing to revoke', 'POST', '/v1/oauth/revoke', 'client_id=x', undefined, 401],
])('%s is told in OAuth\u2019s own words', async (_, method, path, body, type, status) => {
  const answer = await by(`198.51.100.${status % 250}`, method, path, body, type);
  expect(answer.status).toBe(status);
  expect(answer.headers.get('content-type')).toMatch(/^application\/json/);
  expect(await answer.json()).toEqual({
    error: status === 401 ? 'invalid_client' : 'invalid_request',
    error_description: expect.stringMatching(/\S/),
  });
  expect(answer.headers.get('x-request-id')).toMatch(/^req_/);
  expect(answer.headers.get('cache-control')).toBe('no-store');
});

test('a batch has none of it', async () => {
  const operations = [{ method: 'POST', path: '/v1/oauth/token', body: { grant_type: 'refresh_token' } }];
  const headers = { 'x-api-key': developer.api_key, 'content-type': 'application/json' };
  const { body } = await send(orchflow.url, 'POST', '/v1/batch', headers, JSON.stringify({ operations }));
  expect(body.results).toMatchObject([{ status: 404, body: { error: 'invalid_request' } }]);
});

test('each path says what it takes, to anybody', async () => {
  for (const [path, allow] of [
    ['/.well-known/oauth-authorization-server', 'GET, HEAD, OPTIONS'],
    ['/v1/oauth/authorize', 'GET, HEAD, OPTIONS'],
    ['/v1/oauth/token', 'POST, OPTIONS'],
  ] as const) {
    const { status, headers } = await send(orchflow.url, 'OPTIONS', path);
    expect([status, headers.get('allow')]).toEqual([204, allow]);
  }
});

test('while the database is busy it is told to come again, and nothing is given twice', async () => {
  const release = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  const holding = orchflow.db.transaction().execute(async (trx) => {
    await sql`lock table oauth_clients in access exclusive mode`.execute(trx);
    held.resolve();
    await release.promise;
  });
  await held.promise;
  const answer = await by('203.0.113.9', 'POST', '/v1/oauth/token', 'grant_type=refresh_token&client_id=x');
  release.resolve();
  await holding;
  expect(answer.status).toBe(503);
  expect(await answer.json()).toMatchObject({ error: 'temporarily_unavailable' });
  expect(answer.headers.get('retry-after')).toBe('2');
});
