import { msToNumber } from '@temporalio/common/lib/time.js';
import type { Duration } from '@temporalio/common';
import { deleteKey, findKey, insertKey, type KeyView } from '../../db/api-keys.ts';
import type { Db } from '../../db/index.ts';
import { apiKeyPrefix, newApiKey, sha256 } from '../crypto.ts';
import { DomainError, notFound } from '../errors.ts';
import { newId, type IdSeed } from '../ids.ts';
import type { Principal } from './principal.ts';
import { hasScope, missingScope } from './scopes.ts';

/** Of an account. Those that have expired do not count. */
export const maxKeys = 50;

export type KeyRequest = { name: string; scopes: string[]; expires_in?: string };

/** What is kept of a new key, and the key itself, which is kept nowhere. */
export function makeKey(name: string, scopes: string[], seed?: IdSeed) {
  const api_key = newApiKey();
  const row = {
    key_id: newId('api_key', seed),
    name,
    scopes,
    key_sha256: sha256(api_key),
    key_prefix: apiKeyPrefix(api_key),
  };
  return { api_key, row };
}

/** A new key, with scopes that the one who asks has too. */
export async function createKey(
  { db }: { db: Db },
  { account_id, key_id: asking_key_id, person_id, scopes: own }: Principal,
  { name, scopes, expires_in }: KeyRequest,
  seed?: IdSeed,
): Promise<KeyView & { api_key: string }> {
  const lacking = scopes.findIndex((scope) => !hasScope(own, scope));
  if (lacking >= 0) throw missingScope(scopes[lacking]!, ['scopes', lacking]);
  const { api_key, row } = makeKey(name, [...new Set(scopes)], seed);
  const expires_in_ms = expires_in === undefined ? null : msToNumber(expires_in as Duration);
  const created = await insertKey(
    db,
    { ...row, account_id, person_id },
    { asking_key_id, expires_in_ms, most: maxKeys },
  );
  if (!created) throw notFound('Key');
  return { ...created, api_key };
}

/**
 * Takes a key back. Who asks has all of its scopes, so that a key with few does not take the others. The last that may do
 * everything stays: an account does not lock itself out.
 */
export async function revokeKey(
  { db }: { db: Db },
  { account_id, key_id: asking_key_id, scopes }: Principal,
  key_id: string,
): Promise<void> {
  const key = await findKey(db, account_id, key_id);
  const lacking = key?.scopes.find((scope) => !hasScope(scopes, scope));
  if (lacking !== undefined) throw missingScope(lacking);
  const outcome = await deleteKey(db, account_id, { key_id, asking_key_id });
  if (outcome === 'not_found') throw notFound('Key');
  if (outcome === 'is_last') {
    throw new DomainError('LAST_KEY', 'This is the last key of the account that may do everything.');
  }
}
