import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import * as openid from 'openid-client';
import { assertNoSecret } from './canaries.ts';
import type { User } from './orchflow.ts';
import { send } from './raw.ts';

/** OAuth as its clients do it, and people in browsers. */

export const callback = 'https://app.example.com/callback';

export type Registered = { client_id: string; client_secret: string | null };

/** Registers a client of this user. */
export async function registerClient(url: string, user: Pick<User, 'api_key'>, more: object = {}): Promise<Registered> {
  const client = { name: 'Acme Inbox', redirect_uris: [callback], scopes: ['runs:read', 'runs:write', 'agents:read'] };
  const headers = { 'x-api-key': user.api_key, 'content-type': 'application/json' };
  const { status, body } = await send(
    url,
    'POST',
    '/v1/oauth/clients',
    headers,
    JSON.stringify({ ...client, ...more }),
  );
  assert.equal(status, 201, JSON.stringify(body));
  return body;
}

/** What openid-client knows of the server by its metadata. */
export function discover(url: string, { client_id, client_secret }: Registered): Promise<openid.Configuration> {
  const authentication = client_secret === null ? openid.None() : openid.ClientSecretPost(client_secret);
  const options = { algorithm: 'oauth2' as const, execute: [openid.allowInsecureRequests] };
  return openid.discovery(new URL(url), client_id, {}, authentication, options);
}

/** A browser: it keeps cookies by their path, and follows no redirect by itself. */
export function openBrowser() {
  const cookies = new Map<string, { value: string; path: string }>();

  async function go(
    url: string | URL,
    init: { method?: string; headers?: Record<string, string>; body?: URLSearchParams } = {},
  ): Promise<{ response: Response; text: string }> {
    const { pathname } = new URL(url);
    const cookie = [...cookies]
      .filter(([, { path }]) => pathname.startsWith(path))
      .map(([name, { value }]) => `${name}=${value}`)
      .join('; ');
    const response = await fetch(url, { ...init, redirect: 'manual', headers: { ...init.headers, cookie } });
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line)!;
      const path = /; path=([^;]+)/i.exec(line)?.[1] ?? '/';
      if (/expires=Thu, 01 Jan 1970/.test(line)) cookies.delete(name);
      else cookies.set(name, { value, path });
    }
    const text = await response.text();
    assertNoSecret(text, `the page ${pathname}`);
    return { response, text };
  }

  return { go, cookies };
}

export type Browser = ReturnType<typeof openBrowser>;

/** Where a redirect leads. */
export function locationOf(response: Response, base: string | URL): URL {
  assert.equal(response.status, 303, `${response.status} ${response.url}`);
  return new URL(response.headers.get('location')!, base);
}

/** Opens the page on which somebody is asked, or wherever else the request leads. */
export async function openConsent(browser: Browser, authorize: URL): Promise<URL> {
  return locationOf((await browser.go(authorize)).response, authorize);
}

export function decide(browser: Browser, page: URL, fields: Record<string, string>) {
  const headers = { 'content-type': 'application/x-www-form-urlencoded', origin: page.origin };
  return browser.go(page, { method: 'POST', headers, body: new URLSearchParams(fields) });
}

/** Somebody lets the client, or does not; where the answer to it is sent. */
export async function consent(authorize: URL, api_key: string, decision = 'allow'): Promise<URL> {
  const browser = openBrowser();
  const page = await openConsent(browser, authorize);
  const answered = await decide(browser, page, { api_key, decision });
  const back = locationOf(answered.response, page);
  return locationOf((await browser.go(back)).response, back);
}

/** A request to let a client, with what it takes to exchange the code. */
export async function begin(config: openid.Configuration, more: Record<string, string> = {}) {
  const code_verifier = openid.randomPKCECodeVerifier();
  const state = openid.randomState();
  const url = openid.buildAuthorizationUrl(config, {
    redirect_uri: callback,
    scope: 'runs:read agents:read',
    state,
    code_challenge: await openid.calculatePKCECodeChallenge(code_verifier),
    code_challenge_method: 'S256',
    ...more,
  });
  return { url, checks: { pkceCodeVerifier: code_verifier, expectedState: state } };
}

/** The tokens that a client gets when somebody lets it. */
export async function letIn(config: openid.Configuration, api_key: string, more: Record<string, string> = {}) {
  const { url, checks } = await begin(config, more);
  const answer = await consent(url, api_key);
  return openid.authorizationCodeGrant(config, answer, checks);
}

/** What a path answers to an access token, as soon as it does so. */
export async function untilAnswers(url: string, access_token: string, status: number, path = '/api/v1/runs') {
  for (let left = 100; left > 0; left -= 1) {
    const answer = await send(url, 'GET', path, { authorization: `Bearer ${access_token}` });
    if (answer.status === status) return answer;
    await sleep(50);
  }
  throw new Error(`${path} never answered ${status}.`);
}
