import { createPrivateKey, type JsonWebKey } from 'node:crypto';
import { errors, interactionPolicy, Provider, type Configuration, type KoaContextWithOIDC } from 'oidc-provider';
import type { Db } from '../../../../db/index.ts';
import { grantableScopes } from '../../../accounts/scopes.ts';
import { deriveKey, isSameSecret, newKey, sha256, type KeyRing } from '../../../crypto.ts';
import { adapterOf } from './adapter.ts';
import { exchange } from './exchange.ts';
import { contentSecurityPolicy, failurePage } from './pages.ts';
import { paths } from './paths.ts';

/** oidc-provider as OAuth's authorization server, which it is without OpenID's part. It is loaded when it is first asked. */

const minute = 60;
const day = 24 * 60 * minute;

/** In seconds. A grant ends what was given by it, however often it was refreshed. */
const lifetimes = {
  AccessToken: 60 * minute,
  AuthorizationCode: minute,
  RefreshToken: 30 * day,
  Grant: 365 * day,
  Interaction: 10 * minute,
  Session: 10 * minute,
  IdToken: 60 * minute,
};

export function createProvider(issuer: string, { db, keys }: { db: Db; keys: KeyRing }): Provider {
  const provider = new Provider(issuer, configurationOf(db, keys));
  // The headers are ours: they say what clients see of this server.
  provider.proxy = true;
  provider.on('server_error', (_ctx, failure) => {
    const store = exchange.getStore();
    if (store) store.failure = failure;
  });
  const { AccessToken, AuthorizationCode, Client, RefreshToken } = provider;
  const prefixes = [
    [AccessToken, 'os_oat_'],
    [RefreshToken, 'os_ort_'],
    [AuthorizationCode, 'os_oac_'],
  ] as const;
  for (const [model, prefix] of prefixes) {
    const prototype = model.prototype as unknown as { generateTokenId: (this: object) => string };
    const generate = prototype.generateTokenId;
    prototype.generateTokenId = function generateTokenId() {
      // It notes the format of an access token besides.
      generate.call(this);
      return newKey(prefix);
    };
  }
  Client.prototype.compareClientSecret = function compareClientSecret(given) {
    return isSameSecret(sha256(given), this.clientSecret!);
  };
  return provider;
}

function configurationOf(db: Db, keys: KeyRing): Configuration {
  return {
    adapter: (name) => adapterOf(db, name),
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'none'],
    clientDefaults: { id_token_signed_response_alg: 'EdDSA' },
    cookies: {
      keys: keys.map((key) => deriveKey(key, 'oauth:cookies').toString('base64url')),
      names: { session: sessionCookie, interaction: 'oauth_consent', resume: 'oauth_request' },
    },
    jwks: { keys: [signingKey(keys[0]!)] },
    features: {
      devInteractions: { enabled: false },
      dPoP: { enabled: false },
      pushedAuthorizationRequests: { enabled: false },
      resourceIndicators: { enabled: false },
      revocation: { enabled: true, allowedPolicy: async (_ctx, client, token) => token.clientId === client.clientId },
      rpInitiatedLogout: { enabled: false },
      userinfo: { enabled: false },
    },
    expiresWithSession: async () => false,
    issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: () => true,
    responseTypes: ['code'],
    routes: { authorization: paths.authorize, token: paths.token, revocation: paths.revoke },
    scopes: grantableScopes,
    ttl: lifetimes,
    interactions: { policy: policy(), url: (_ctx, { uid }) => `${paths.consent}/${uid}` },
    // Whose key it is, is looked up with each grant.
    findAccount: async (_ctx, key_id) => ({ accountId: key_id, claims: async () => ({ sub: key_id }) }),
    renderError: async (ctx, { error, error_description }) => {
      ctx.type = 'html';
      ctx.set('Content-Security-Policy', contentSecurityPolicy([]));
      ctx.body = String(await failurePage(String(error_description ?? error)));
    },
    clientBasedCORS: () => true,
  };
}

/** No session is kept, so that its cookie means nothing. */
const sessionCookie = 'oauth_session';

/** What is asked for is what is given, or an error: clients break on less, and do not look for it. */
function policy() {
  const { base, Check, Prompt } = interactionPolicy;
  const policies = base();
  const check = new Check('scopes_known', 'scopes must be known', 'invalid_scope', (ctx) => {
    requireScopes(ctx);
    return Check.NO_NEED_TO_PROMPT;
  });
  policies.add(new Prompt({ name: 'scopes', requestable: false }, check), 0);
  return policies;
}

function requireScopes({ oidc, query }: KoaContextWithOIDC): void {
  if (oidc.route !== 'authorization') return;
  const asked = typeof query.scope === 'string' ? query.scope.split(' ').filter(Boolean) : [];
  if (asked.length === 0) throw new errors.InvalidScope('name the scopes that you ask for', '');
  const unknown = asked.filter((scope) => !(grantableScopes as string[]).includes(scope));
  if (unknown.length > 0) {
    throw new errors.InvalidScope(`there is no scope ${unknown.join(', ')} that a client can have`, unknown.join(' '));
  }
}

/** An Ed25519 key, from its seed in PKCS #8 (https://www.rfc-editor.org/rfc/rfc8410#section-7). It signs nothing, as tokens are opaque. */
function signingKey(key: Buffer): JsonWebKey {
  const seed = deriveKey(key, 'oauth:signing');
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]);
  return { ...createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ format: 'jwk' }), use: 'sig' };
}
