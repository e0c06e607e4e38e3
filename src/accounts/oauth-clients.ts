import type { Db } from '../../db/index.ts';
import { deleteClient, findOwnClient, insertClient, type ClientView } from '../../db/oauth-clients.ts';
import type { OAuthClient } from '../../db/schema.ts';
import { newKey, sha256 } from '../crypto.ts';
import { notFound, requireNone } from '../errors.ts';
import { newId, type IdSeed } from '../ids.ts';
import { redirectFaults } from './redirect-uris.ts';
import type { Principal } from './principal.ts';

/** The applications that an account registers, so that other accounts can let them act for them (OAuth 2.0, RFC 6749). */

/** Of an account. */
export const maxClients = 20;

export type ClientRequest = Pick<OAuthClient, 'name' | 'type' | 'redirect_uris' | 'scopes'>;

/**
 * Registers a client. A confidential one has a secret, which is in the answer and is kept nowhere; a public one has none. Throws
 * `InvalidInputError` for addresses to which no code is sent, and `LimitReached`.
 */
export async function registerClient(
  { db }: { db: Db },
  { account_id }: Principal,
  { name, type, redirect_uris, scopes }: ClientRequest,
  seed: IdSeed | undefined,
): Promise<ClientView & { client_secret: string | null }> {
  requireNone(redirectFaults(type, redirect_uris));
  const client_secret = type === 'confidential' ? newKey('os_cs_') : null;
  const client = {
    client_id: newId('oauth_client', seed),
    account_id,
    name,
    type,
    redirect_uris: [...new Set(redirect_uris)],
    scopes: [...new Set(scopes)],
    secret_sha256: client_secret && sha256(client_secret),
  };
  return { ...(await insertClient(db, client, maxClients)), client_secret };
}

/** A client of the account. Throws `NOT_FOUND`. */
export async function getClient({ db }: { db: Db }, { account_id }: Principal, client_id: string): Promise<ClientView> {
  const client = await findOwnClient(db, account_id, client_id);
  if (!client) throw notFound('OAuth client');
  return client;
}

/** Deletes a client: nothing that anybody has given it is taken any more. Throws `NOT_FOUND`. */
export async function removeClient({ db }: { db: Db }, { account_id }: Principal, client_id: string): Promise<void> {
  if (!(await deleteClient(db, account_id, client_id))) throw notFound('OAuth client');
}
