import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import * as openid from 'openid-client';
import { chromium } from 'playwright-core';
import { startFakeWeb } from '../fakes/web.ts';
import { executablePath } from '../harness/chromium.ts';
import {
  begin,
  callback,
  consent,
  decide,
  discover,
  letIn,
  locationOf,
  openBrowser,
  openConsent,
  registerClient,
} from '../harness/oauth.ts';
import { useOAuth } from '../harness/oauth-story.ts';
import { createUser } from '../harness/orchflow.ts';
import { hasAuthlib } from '../harness/python.ts';
import { send } from '../harness/raw.ts';

/** How somebody lets an application act for them. Two API processes on one database; openid-client and Authlib are the clients. */

const story = useOAuth();

describe('the metadata', () => {
  test('is where RFC 8414 looks for it, and says what there is and nothing else', async () => {
    const { url } = story.apis[0];
    const { status, body } = await send(url, 'GET', '/.well-known/oauth-authorization-server');
    expect(status).toBe(200);
    expect(body).toEqual({
      issuer: url,
      authorization_endpoint: `${url}/v1/oauth/authorize`,
      token_endpoint: `${url}/v1/oauth/token`,
      revocation_endpoint: `${url}/v1/oauth/revoke`,
      response_types_supported: ['code'],
      response_modes_supported: ['query', 'fragment'],
      grant_types_supported: expect.arrayContaining(['authorization_code', 'refresh_token']),
      code_challenge_methods_supported: ['S256'],
      token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'none'],
      scopes_supported: expect.arrayContaining(['runs:read', 'gates:answer']),
      authorization_response_iss_parameter_supported: true,
    });
    expect(body.scopes_supported).not.toContain('keys:write');
    expect(body.scopes_supported).not.toContain('openid');
    expect((await fetch(`${url}/.well-known/oauth-authorization-server`, { method: 'HEAD' })).status).toBe(200);
    // Of nobody who is no trusted proxy it is believed.
    const spoofed = { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https' };
    const again = await send(url, 'GET', '/.well-known/oauth-authorization-server', spoofed);
    expect(again.body).toEqual(body);
  });
});

describe('whoever is asked', () => {
  test('sees which client asks for what, and where its answer goes, on a page without scripts', async () => {
    const evil = await registerClient(story.apis[0].url, story.developer, {
      type: 'public',
      name: '<script>alert(1)</script>',
    });
    const browser = openBrowser();
    const page = await openConsent(browser, (await begin(await discover(story.apis[0].url, evil))).url);
    const { response, text } = await browser.go(page);
    expect(response.status).toBe(200);
    expect(text).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
    expect(text).not.toContain('<script');
    for (const shown of ['runs:read', 'agents:read', 'https://app.example.com']) expect(text).toContain(shown);
    const policy = response.headers.get('content-security-policy')!;
    expect(policy).toMatch(
      /^default-src 'none'; style-src 'sha256-[^']+'; form-action 'self' https:\/\/app\.example\.com; /,
    );
    expect(policy).toContain("frame-ancestors 'none'");
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect([...browser.cookies.keys()].toSorted()).toEqual([
      'oauth_consent',
      'oauth_consent.sig',
      'oauth_request',
      'oauth_request.sig',
    ]);
  });

  test.skipIf(!executablePath)(
    'somebody allows it in a browser, which obeys what the page says of itself',
    async () => {
      const app = await startFakeWeb(() => ({ body: 'Back again.' }));
      const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
      try {
        const page = await browser.newPage();
        const complaints: string[] = [];
        page.on('console', (message) => void complaints.push(message.text()));
        const redirect_uri = `${app.url}/callback`;
        const client = await registerClient(story.apis[0].url, story.developer, {
          type: 'public',
          redirect_uris: [redirect_uri],
        });
        const { url } = await begin(await discover(story.apis[0].url, client), { redirect_uri });
        await page.goto(url.href);
        await expect(page.getByRole('heading').textContent()).resolves.toBe('Let “Acme Inbox” act for you?');
        // As it is styled, and not as it would be without.
        expect(await page.evaluate(`getComputedStyle(document.querySelector('.allow')).color`)).toBe(
          'rgb(255, 255, 255)',
        );
        await page.getByLabel('An API key of yours').fill('orch_wrong');
        await page.getByRole('button', { name: 'Allow' }).click();
        await page.getByRole('alert').waitFor();
        await page.getByLabel('An API key of yours').fill(story.user.api_key);
        await page.getByRole('button', { name: 'Allow' }).click();
        await page.waitForURL(`${redirect_uri}?**`);
        expect(await page.textContent('body')).toBe('Back again.');
        expect(new URL(page.url()).searchParams.get('code')).toMatch(/^os_oac_/);
        expect(complaints.filter((text) => /Content Security Policy/.test(text))).toEqual([]);
      } finally {
        await browser.close();
        app.down();
      }
    },
  );

  test('can say no, which the client hears', async () => {
    const { url } = await begin(story.config);
    const answer = await consent(url, '', 'deny');
    expect(answer.searchParams.get('error')).toBe('access_denied');
    expect(answer.searchParams.get('iss')).toBe(story.apis[0].url);
  });

  test.each<[string, () => string | Promise<string>, string]>([
    ['nothing', () => '', 'This is no API key of this server'],
    ['what is no key', () => 'orch_x', 'This is no API key of this server'],
    ['a key that there is not', async () => `${story.user.api_key.slice(0, -1)}0`, 'This is no API key of this server'],
    [
      'the key of a person',
      async () => (await story.user.post('/people', { name: 'Ben' })).body.api_key,
      'it lacks runs:read, agents:read.',
    ],
    ['an access token', async () => (await letIn(story.config, story.user.api_key)).access_token, 'This is no API key'],
  ])('lets nobody with %s', async (_, key, fault) => {
    const browser = openBrowser();
    const page = await openConsent(browser, (await begin(story.config)).url);
    const { response, text } = await decide(browser, page, { api_key: await key(), decision: 'allow' });
    expect(response.status).toBe(422);
    expect(text).toContain(fault);
  });

  test('is asked again when the form says nothing, or is none', async () => {
    const browser = openBrowser();
    const page = await openConsent(browser, (await begin(story.config)).url);
    for (const type of ['application/x-www-form-urlencoded', 'multipart/form-data', 'text/plain']) {
      const init = { method: 'POST', headers: { 'content-type': type }, body: new URLSearchParams({ api_key: 'x' }) };
      const { response, text } = await browser.go(page, init);
      expect(response.status).toBe(422);
      expect(text).toContain('Say whether you allow it.');
    }
    const answer = locationOf((await decide(browser, page, { decision: 'deny' })).response, page);
    expect((await browser.go(answer)).response.status).toBe(303);
    expect((await decide(browser, page, { decision: 'deny' })).response.status).toBe(404);
  });

  test('may do no more than the key with which they consent', async () => {
    const { api_key } = await story.keyWith(['runs:read', 'agents:read']);
    const { url } = await begin(story.config, { scope: 'runs:read runs:write' });
    const browser = openBrowser();
    const page = await openConsent(browser, url);
    const { response, text } = await decide(browser, page, { api_key, decision: 'allow' });
    expect(response.status).toBe(422);
    expect(text).toContain('it lacks runs:write.');
    // Another key may.
    const allowed = await decide(browser, page, { api_key: story.user.api_key, decision: 'allow' });
    expect(allowed.response.status).toBe(303);
  });

  test('answers in the browser that was asked, and once', async () => {
    const { url } = await begin(story.config);
    const browser = openBrowser();
    const page = await openConsent(browser, url);
    const fields = { api_key: story.user.api_key, decision: 'allow' };
    expect((await decide(openBrowser(), page, fields)).response.status).toBe(404);
    const back = locationOf((await decide(browser, page, fields)).response, page);
    expect(locationOf((await browser.go(back)).response, back).searchParams.get('code')).toMatch(/^os_oac_/);
    expect((await browser.go(page)).response.status).toBe(404);
  });

  test('may be at another process by the time of the answer', async () => {
    const { url, checks } = await begin(story.config);
    const browser = openBrowser();
    const elsewhere = (at: URL) => new URL(at.pathname + at.search, story.apis[1].url);
    const page = elsewhere(await openConsent(browser, url));
    const answered = await decide(browser, page, { api_key: story.user.api_key, decision: 'allow' });
    const back = elsewhere(locationOf(answered.response, page));
    const answer = locationOf((await browser.go(back)).response, back);
    expect((await openid.authorizationCodeGrant(story.config, answer, checks)).access_token).toMatch(/^os_oat_/);
  });

  test('with a test key lets the client make tests', async () => {
    const { body } = await send(
      story.apis[0].url,
      'POST',
      '/v1/api-keys',
      { 'x-api-key': story.user.api_key, 'content-type': 'application/json' },
      JSON.stringify({ name: 'Test', scopes: ['*'], mode: 'test' }),
    );
    const { access_token } = await letIn(story.config, body.api_key, { scope: 'runs:read runs:write' });
    const run = await createUser(story.apis[0].url, access_token, '', '').startRun({
      task: 'Compare three note apps.',
    });
    expect((await run.until('completed')).warnings).toEqual([expect.stringContaining('This is a test')]);
  });
});

describe('a client asks', () => {
  test.each<[string, Record<string, string>, string]>([
    ['for a scope that there is not', { scope: 'runs:read runs:fly' }, 'invalid_scope'],
    ['for a scope that no client gets', { scope: 'runs:read keys:write' }, 'invalid_scope'],
    ['for a scope that is not registered', { scope: 'providers:read' }, 'invalid_scope'],
    ['for offline_access, which is no scope here', { scope: 'runs:read offline_access' }, 'invalid_scope'],
    ['for nothing', { scope: '' }, 'invalid_scope'],
    ['without PKCE, being public', { code_challenge: '', code_challenge_method: '' }, 'invalid_request'],
    ['with a plain challenge', { code_challenge_method: 'plain' }, 'invalid_request'],
    ['for a token at once', { response_type: 'token' }, 'unsupported_response_type'],
    ['without anybody to be asked', { prompt: 'none' }, 'interaction_required'],
  ])('%s, and hears that it cannot', async (_, more, error) => {
    const { url } = await begin(story.config, more);
    for (const [name, value] of Object.entries(more)) if (!value) url.searchParams.delete(name);
    const { response, text } = await openBrowser().go(url);
    expect(response.status, text).toBe(303);
    const answer = new URL(response.headers.get('location')!.replace('#', '?'));
    expect(answer.origin).toBe('https://app.example.com');
    expect([error, 'login_required']).toContain(answer.searchParams.get('error'));
  });

  test.each<[string, Record<string, string>]>([
    ['as a client that there is not', { client_id: 'ocl_nobody' }],
    ['for an address that is not registered', { redirect_uri: 'https://evil.example/callback' }],
    ['for an address with something more', { redirect_uri: `${callback}/../evil` }],
  ])('%s, and nothing is sent there', async (_, more) => {
    const { response, text } = await openBrowser().go((await begin(story.config, more)).url);
    expect(response.status).toBe(400);
    expect(response.headers.get('location')).toBeNull();
    expect(text).toContain('This did not work');
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
  });

  test('with its secret, when it is confidential, and not with another', async () => {
    const confidential = await registerClient(story.apis[0].url, story.developer);
    expect(confidential.client_secret).toMatch(/^os_cs_[0-9A-Za-z]{49}$/);
    const own = await discover(story.apis[0].url, confidential);
    expect((await letIn(own, story.user.api_key)).refresh_token).toMatch(/^os_ort_/);
    const wrong = await discover(story.apis[0].url, { ...confidential, client_secret: 'os_cs_wrong' });
    await expect(letIn(wrong, story.user.api_key)).rejects.toMatchObject({ status: 401 });
    const none = await discover(story.apis[0].url, { ...confidential, client_secret: null });
    await expect(letIn(none, story.user.api_key)).rejects.toMatchObject({ status: 401 });
  });

  test.skipIf(!hasAuthlib).each(['confidential', 'public'])('may be one of Authlib, %s', async (type) => {
    const { client_id, client_secret } = await registerClient(story.apis[0].url, story.developer, { type });
    const script = path.join(import.meta.dirname, '../harness/oauth_client.py');
    const args = [script, story.apis[0].url, client_id, client_secret ?? '', story.user.api_key];
    const { stdout } = await promisify(execFile)('python3', args, { timeout: 60_000 });
    expect(JSON.parse(stdout)).toEqual({ runs: 200, forbidden: 403, refreshed: 403, error: 'invalid_grant' });
  });

  test('as an app on a device, on any port of it, or by a scheme of its own', async () => {
    const redirect_uris = ['http://127.0.0.1/callback', 'com.example.app:/callback'];
    const app = await registerClient(story.apis[0].url, story.developer, { type: 'public', redirect_uris });
    const own = await discover(story.apis[0].url, app);
    for (const redirect_uri of ['http://127.0.0.1:49152/callback', redirect_uris[1]!]) {
      const { url } = await begin(own, { redirect_uri });
      const answer = await consent(url, story.user.api_key);
      expect(answer.href.startsWith(redirect_uri)).toBe(true);
      expect(answer.searchParams.get('code')).toMatch(/^os_oac_/);
    }
  });
});
