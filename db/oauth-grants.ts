import { sql } from 'kysely';
import type { Db } from './index.ts';

/** Whom an account lets act for it: what its keys have consented to. */

export type GrantView = {
  grant_id: string;
  client_id: string;
  name: string;
  scopes: string[];
  key_id: string;
  created_at: string;
  expires_at: string;
};

/** A page of the grants of an account that have not expired, the newest first unless `sort` is `created_at`. */
export function listGrants(
  db: Db,
  account_id: string,
  {
    limit,
    after,
    sort,
  }: { limit: number; after?: { created_at: string; id: string }; sort: 'created_at' | '-created_at' },
): Promise<GrantView[]> {
  const direction = sort === 'created_at' ? 'asc' : 'desc';
  const beyond = direction === 'asc' ? sql`>` : sql`<`;
  return db
    .selectFrom('oauth_grants')
    .innerJoin('api_keys', 'api_keys.key_id', 'oauth_grants.key_id')
    .innerJoin('oauth_clients', 'oauth_clients.client_id', 'oauth_grants.client_id')
    .select(['oauth_grants.grant_id', 'oauth_grants.client_id', 'oauth_clients.name', 'oauth_grants.key_id'])
    .select(['oauth_grants.created_at', 'oauth_grants.expires_at'])
    .select(sql<string[]>`string_to_array(payload -> 'openid' ->> 'scope', ' ')`.as('scopes'))
    .where('api_keys.account_id', '=', account_id)
    .where('oauth_grants.expires_at', '>', sql<string>`now()`)
    .$if(after !== undefined, (query) =>
      query.where(
        sql<boolean>`(oauth_grants.created_at, oauth_grants.grant_id) ${beyond} (${after!.created_at}::timestamptz, ${after!.id})`,
      ),
    )
    .orderBy('oauth_grants.created_at', direction)
    .orderBy('oauth_grants.grant_id', direction)
    .limit(limit)
    .execute();
}

/** Ends a grant, with all that was given by it. Returns false when the account has none of this id. */
export async function deleteOwnGrant(db: Db, account_id: string, grant_id: string): Promise<boolean> {
  const { numDeletedRows } = await db
    .deleteFrom('oauth_grants')
    .where('grant_id', '=', grant_id)
    .where('key_id', 'in', (query) =>
      query.selectFrom('api_keys').select('key_id').where('account_id', '=', account_id),
    )
    .executeTakeFirst();
  return numDeletedRows > 0n;
}
