import { afterAll, beforeAll, beforeEach, expect } from 'vitest';
import type * as openid from 'openid-client';
import { begin, callback, consent, discover, registerClient, type Registered } from './oauth.ts';
import { startOrchflow, type Orchflow, type User } from './orchflow.ts';
import { send } from './raw.ts';

/**
 * What a test file of OAuth stands on: two API processes on one database, and for each test who has registered a public client, and who
 * may let it act for them.
 */
export function useOAuth() {
  const story = {} as {
    apis: [Orchflow, Orchflow];
    developer: User;
    user: User;
    client: Registered;
    config: openid.Configuration;
  };

  beforeAll(async () => {
    // What is taken no more is asked for until it is not.
    const environment = { FAILED_KEYS_LIMIT_PER_MINUTE: '0', OAUTH_LIMIT_PER_MINUTE: '0' };
    const first = await startOrchflow({ environment });
    const { DATABASE_URL = '', ENCRYPTION_KEY = '' } = first.env;
    const shared = { ...environment, DATABASE_URL, ENCRYPTION_KEY, PUBLIC_URL: first.url };
    story.apis = [first, await startOrchflow({ environment: shared, worker: false })];
  });
  afterAll(() => Promise.all(story.apis.map((api) => api.stop())));
  beforeEach(async () => {
    const { apis } = story;
    [story.developer, story.user] = await Promise.all([apis[0].register(), apis[0].register()]);
    await setClient({ type: 'public' });
  });

  /** Registers another client, which is the one of the story from now on. */
  async function setClient(more: object): Promise<void> {
    const { url } = story.apis[0];
    story.client = await registerClient(url, story.developer, more);
    story.config = await discover(url, story.client);
  }

  return Object.assign(story, {
    setClient,
    /** What the client asks for tokens with. */
    tokenRequest: (fields: Record<string, string>, { url } = story.apis[0]) =>
      send(
        url,
        'POST',
        '/v1/oauth/token',
        { 'content-type': 'application/x-www-form-urlencoded' },
        new URLSearchParams({ client_id: story.client.client_id, ...fields }).toString(),
      ),
    /** The request with which a code is exchanged that somebody has let the client have. */
    async codeRequest(more: Record<string, string> = {}) {
      const { url, checks } = await begin(story.config, more);
      const code = (await consent(url, story.user.api_key)).searchParams.get('code')!;
      return { grant_type: 'authorization_code', code, redirect_uri: callback, code_verifier: checks.pkceCodeVerifier };
    },
    async keyWith(scopes: string[], by = story.user, more: object = {}) {
      const { body, status } = await by.post('/keys', { name: 'Some', scopes, ...more });
      expect(status, JSON.stringify(body)).toBe(201);
      return body as { api_key: string; key_id: string };
    },
  });
}
