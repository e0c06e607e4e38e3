import { msToNumber } from '@temporalio/common/lib/time.js';
import type { Duration } from '@temporalio/common';
import { deleteKey, findKey, insertKey, type KeyView } from '../../db/api-keys.ts';
import type { Db } from '../../db/index.ts';
import type { Mode } from '../../db/schema.ts';
import { apiKeyPrefix, newKey, sha256, type KeyPrefix } from '../crypto.ts';
import { DomainError, InvalidInputError, notFound } from '../errors.ts';
import { newId, type IdSeed } from '../ids.ts';
import type { Principal } from './principal.ts';
import { hasScope, missingScope } from './scopes.ts';

/** Of an account. Those that have expired do not count. */
export const maxKeys = 50;

/** `mode` is that of the key that asks, unless given. */
export type KeyRequest = { name: string; scopes: string[]; expires_in?: string; mode?: Mode };

/** How a key begins that is said to: one for tests always does as such. */
type KeyForm = { mode: Mode; live_prefix?: Exclude<KeyPrefix, 'os_test_'> };

/** What is kept of a new key, and the key itself, which is kept nowhere. */
export function makeKey(name: string, scopes: string[], { mode, live_prefix = 'orch_' }: KeyForm, seed?: IdSeed) {
  const api_key = newKey(mode === 'test' ? 'os_test_' : live_prefix);
  const row = {
    key_id: newId('api_key', seed),
    name,
    scopes,
    mode,
    key_sha256: sha256(api_key),
    key_prefix: apiKeyPrefix(api_key),
  };
  return { api_key, row };
}

/** A new key, with scopes that the one who asks has too, and no longer than that one. A test key makes only such. */
export async function createKey(
  { db }: { db: Db },
  { account_id, key_id: asking_key_id, person_id, scopes: own, mode: ownMode, expires_at }: Principal,
  { name, scopes, expires_in, mode = ownMode }: KeyRequest,
  seed?: IdSeed,
  live_prefix?: KeyForm['live_prefix'],
): Promise<KeyView & { api_key: string }> {
  if (mode === 'live') requireLive(ownMode, ['mode']);
  const lacking = scopes.findIndex((scope) => !hasScope(own, scope));
  if (lacking >= 0) throw missingScope(scopes[lacking]!, ['scopes', lacking]);
  const { api_key, row } = makeKey(name, [...new Set(scopes)], { mode, live_prefix }, seed);
  const expires_in_ms = expires_in === undefined ? null : msToNumber(expires_in as Duration);
  if (expires_at && expires_in_ms !== null && Date.now() + expires_in_ms > Date.parse(expires_at)) {
    const detail = `must end with the key that asks at the latest, which does at ${expires_at}`;
    throw new InvalidInputError([{ path: ['expires_in'], detail }]);
  }
  const created = await insertKey(
    db,
    { ...row, account_id, person_id },
    { asking_key_id, expires_in_ms, most: maxKeys },
  );
  if (!created) throw notFound('Key');
  return { ...created, api_key };
}

/** A key of the account, without what it is. Throws `NOT_FOUND`. */
export async function getKey({ db }: { db: Db }, { account_id }: Principal, key_id: string): Promise<KeyView> {
  const key = await findKey(db, account_id, key_id);
  if (!key) throw notFound('Key');
  return key;
}

/**
 * Takes a key back. Who asks has all of its scopes, so that a key with few does not take the others; a test key takes only such.
 * The last live one that may do everything stays: an account does not lock itself out.
 */
export async function revokeKey(
  { db }: { db: Db },
  { account_id, key_id: asking_key_id, scopes, mode }: Principal,
  key_id: string,
): Promise<void> {
  const key = await findKey(db, account_id, key_id);
  if (key?.mode === 'live') requireLive(mode);
  const lacking = key?.scopes.find((scope) => !hasScope(scopes, scope));
  if (lacking !== undefined) throw missingScope(lacking);
  const outcome = await deleteKey(db, account_id, { key_id, asking_key_id });
  if (outcome === 'not_found') throw notFound('Key');
  if (outcome === 'is_last') {
    throw new DomainError('LAST_KEY', 'This is the last key of the account that may do everything.');
  }
}

/** Who got hold of a test key can do nothing with it that costs: so it makes no live one, and takes none away. */
function requireLive(mode: Mode, at: PropertyKey[] = []): void {
  if (mode === 'live') return;
  const faults = at.length > 0 ? [{ path: at, detail: 'must be test: the key that asks is one' }] : [];
  throw new DomainError('TEST_KEY', 'A test key makes, and takes back, only test keys.', { faults });
}
