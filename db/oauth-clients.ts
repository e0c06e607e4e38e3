import { sql, type Insertable } from 'kysely';
import type { Db } from './index.ts';
import { withinLimit } from './limits.ts';
import { byTime, onPage, type Page } from './pages.ts';
import type { Database, OAuthClient } from './schema.ts';

/** The applications that accounts have registered, to act for whoever lets them. */

/** Of a client, what its account reads: not its secret. */
export type ClientView = Pick<OAuthClient, 'client_id' | 'name' | 'type' | 'redirect_uris' | 'scopes' | 'created_at'>;
const viewColumns = [
  'client_id',
  'name',
  'type',
  'redirect_uris',
  'scopes',
  'created_at',
] as const satisfies (keyof ClientView)[];

/**
 * Registers a client. Where the first try of the request has come so far, the secret of this try counts. Throws `LimitReached`
 * when the account has `most` others.
 */
export function insertClient(db: Db, client: Insertable<Database['oauth_clients']>, most: number): Promise<ClientView> {
  const { account_id, client_id, secret_sha256 } = client;
  const others = sql<{ count: number }>`
    select count(*) from oauth_clients where account_id = ${account_id} and client_id <> ${client_id}`;
  return withinLimit(db, account_id, { what: 'OAuth clients', most, others }, (trx) =>
    trx
      .insertInto('oauth_clients')
      .values(client)
      .onConflict((conflict) => conflict.column('client_id').doUpdateSet({ secret_sha256 }))
      .returning(viewColumns)
      .executeTakeFirstOrThrow(),
  );
}

/** A client, whoever has registered it; undefined when there is none of this id, or its account is suspended. */
export function findClient(db: Db, client_id: string): Promise<OAuthClient | undefined> {
  return db
    .selectFrom('oauth_clients')
    .innerJoin('accounts', 'accounts.account_id', 'oauth_clients.account_id')
    .selectAll('oauth_clients')
    .where('client_id', '=', client_id)
    .where('suspended_at', 'is', null)
    .executeTakeFirst();
}

/** Undefined when this account has none of this id. */
export function findOwnClient(db: Db, account_id: string, client_id: string): Promise<ClientView | undefined> {
  return db
    .selectFrom('oauth_clients')
    .select(viewColumns)
    .where('account_id', '=', account_id)
    .where('client_id', '=', client_id)
    .executeTakeFirst();
}

/** A page of the clients of an account, the newest first unless `sort` is `created_at`. */
export function listClients(
  db: Db,
  account_id: string,
  { type, ...page }: Page & { type?: OAuthClient['type'] | undefined },
): Promise<ClientView[]> {
  const clients = db
    .selectFrom('oauth_clients')
    .select(viewColumns)
    .where('account_id', '=', account_id)
    .$if(type !== undefined, (query) => query.where('type', '=', type!));
  return onPage(clients, byTime('created_at', 'client_id'), page).execute();
}

/** Deletes a client, and with it all that it was given. Returns false when the account has none of this id. */
export async function deleteClient(db: Db, account_id: string, client_id: string): Promise<boolean> {
  const { numDeletedRows } = await db
    .deleteFrom('oauth_clients')
    .where('account_id', '=', account_id)
    .where('client_id', '=', client_id)
    .executeTakeFirst();
  return numDeletedRows > 0n;
}
