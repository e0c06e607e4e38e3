import { errors, type Adapter, type AdapterPayload } from 'oidc-provider';
import type { Db } from '../../../../db/index.ts';
import {
  countRefreshes,
  deleteAccessToken,
  deleteAccessTokensOf,
  deleteArtifact,
  deleteArtifactsOf,
  deleteGrant,
  findAccessToken,
  findArtifact,
  findGrant,
  insertAccessToken,
  insertGrant,
  saveArtifact,
  takeArtifact,
  type Stored,
} from '../../../../db/oauth.ts';
import { findClient } from '../../../../db/oauth-clients.ts';
import type { OAuthArtifact, OAuthClient } from '../../../../db/schema.ts';
import { isNative } from '../../../accounts/redirect-uris.ts';
import { apiKeyPrefix, sha256 } from '../../../crypto.ts';
import { HttpError } from '../../../http/problems.ts';
import { exchange } from './exchange.ts';

/** Where oidc-provider keeps what it makes: all of it in PostgreSQL, so that any process of the API may go on with it. */

type Consumable = { most: number; grace_ms: number };

const once: Consumable = { most: 1, grace_ms: 0 };
/** Two tabs of a client refresh at the same moment: both get tokens. Whoever comes later has stolen one of them, or was robbed. */
const soon: Consumable = { most: 5, grace_ms: 10_000 };
/** Of a grant, in an hour. An access token is good for that long. */
const mostRefreshes = 60;

/** The adapter for what oidc-provider calls by this name. Sessions are not kept: each time somebody consents with a key. */
export function adapterOf(db: Db, name: string): Adapter {
  switch (name) {
    case 'Client':
      return { ...nothing, find: async (id) => clientMetadata(await findClient(db, id)) };
    case 'Grant':
      return grants(db);
    case 'AccessToken':
      return accessTokens(db);
    case 'AuthorizationCode':
      return artifacts(db, name, once);
    case 'RefreshToken':
      return refreshTokens(db, name);
    case 'Interaction':
      return artifacts(db, name, once);
    default:
      return nothing;
  }
}

const nothing: Adapter = {
  upsert: async () => {},
  find: async () => undefined,
  findByUid: async () => undefined,
  findByUserCode: async () => undefined,
  consume: async () => {},
  destroy: async () => {},
  revokeByGrantId: async () => {},
};

/** A client as RFC 7591 describes it. Of its secret the SHA-256, with which `compareClientSecret` compares. */
function clientMetadata(client: OAuthClient | undefined): AdapterPayload | undefined {
  if (!client) return undefined;
  const { client_id, name, type, redirect_uris, scopes, secret_sha256 } = client;
  return {
    client_id,
    client_name: name,
    application_type: isNative(client) ? 'native' : 'web',
    redirect_uris,
    scope: scopes.join(' '),
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    response_modes: ['query', 'fragment'],
    token_endpoint_auth_method: type === 'public' ? 'none' : 'client_secret_basic',
    ...(secret_sha256 && { client_secret: secret_sha256 }),
  };
}

function grants(db: Db): Adapter {
  return {
    ...nothing,
    async upsert(grant_id, payload, seconds = 0) {
      const { clientId, accountId } = payload;
      await saved(insertGrant(db, { grant_id, client_id: clientId!, key_id: accountId!, payload }, seconds));
    },
    find: (grant_id) => findGrant(db, grant_id),
    destroy: (grant_id) => deleteGrant(db, grant_id),
    revokeByGrantId: (grant_id) => deleteGrant(db, grant_id),
  };
}

/** They are keys, which every path of the API looks up. */
function accessTokens(db: Db): Adapter {
  return {
    ...nothing,
    async upsert(token, { grantId, scope }, seconds = 0) {
      const key = { key_sha256: sha256(token), key_prefix: apiKeyPrefix(token), grant_id: grantId! };
      const isKept = await saved(insertAccessToken(db, { ...key, scopes: scope?.split(' ') ?? [] }, seconds));
      if (!isKept) throw gone();
    },
    async find(token) {
      const found = await findAccessToken(db, sha256(token));
      if (!found) return undefined;
      const { grant_id: grantId, client_id: clientId, key_id: accountId, scopes, iat, exp } = found;
      return { jti: token, kind: 'AccessToken', grantId, clientId, accountId, scope: scopes.join(' '), iat, exp };
    },
    destroy: (token) => deleteAccessToken(db, sha256(token)),
    revokeByGrantId: (grant_id) => deleteAccessTokensOf(db, grant_id),
  };
}

function artifacts(db: Db, kind: OAuthArtifact['kind'], consumable: Consumable): Adapter {
  return {
    ...nothing,
    async upsert(id, { jti: _, ...payload }, seconds = 0) {
      const { clientId, grantId, params, returnTo } = payload;
      const isToken = kind !== 'Interaction';
      // What it is called, only who has it may know: the way back from an interaction ends with it.
      const kept = { ...payload, ...(returnTo && { returnTo: returnTo.slice(0, -id.length) }) };
      const client_id = isToken ? clientId! : String(params?.client_id);
      const grant_id = isToken ? grantId! : null;
      await saved(saveArtifact(db, { id_sha256: sha256(id), kind, client_id, grant_id, payload: kept }, seconds));
    },
    async find(id) {
      const found = await findArtifact(db, kind, sha256(id));
      if (!found) return undefined;
      const { returnTo, ...payload } = found.payload as AdapterPayload;
      const whole = { ...payload, jti: id, ...(returnTo && { returnTo: returnTo + id }) };
      return isConsumed(found, consumable) ? { ...whole, consumed: true } : whole;
    },
    async consume(id) {
      if (!(await takeArtifact(db, sha256(id), consumable))) throw new errors.InvalidGrant('it is used already');
    },
    destroy: (id) => deleteArtifact(db, sha256(id)),
    revokeByGrantId: (grant_id) => deleteArtifactsOf(db, kind, grant_id),
  };
}

function refreshTokens(db: Db, kind: 'RefreshToken'): Adapter {
  const tokens = artifacts(db, kind, soon);
  return {
    ...tokens,
    async consume(id) {
      if ((await countRefreshes(db, sha256(id))) >= mostRefreshes) {
        const detail = `At most ${mostRefreshes} refreshes in an hour of what was allowed once. Access tokens are good for that long.`;
        throw new HttpError('RATE_LIMITED', detail, { retry_after_seconds: 60 });
      }
      return tokens.consume(id);
    },
  };
}

/**
 * Whether it is used a second time, which takes back all that the first time gave. Who was on the way already when it was used
 * the first time is only refused: the same client, twice at the same moment.
 */
function isConsumed({ used_ms, uses }: Stored, { grace_ms, most }: Consumable): boolean {
  if (used_ms === null) return false;
  if (used_ms < grace_ms && uses < most) return false;
  const since = performance.now() - (exchange.getStore()?.received ?? 0);
  if (used_ms < Math.max(since, grace_ms)) throw new errors.InvalidGrant('it is used by another request just now');
  return true;
}

const foreignKeyViolation = '23503';

/** The key that has consented, or the client, or the grant may go at any moment. */
async function saved<T>(saving: Promise<T>): Promise<T> {
  try {
    return await saving;
  } catch (error) {
    throw (error as { code?: string }).code === foreignKeyViolation ? gone() : error;
  }
}

function gone() {
  return new errors.InvalidGrant('what it was given by is taken back');
}
