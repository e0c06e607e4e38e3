import { sql } from 'kysely';
import type { Db } from './index.ts';
import { byTime, onPage, type Page } from './pages.ts';

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

/** A page of the grants of an account that have not expired. */
export function listGrants(db: Db, account_id: string, page: Page): Promise<GrantView[]> {
  const grants = db
    .selectFrom('oauth_grants')
    .innerJoin('api_keys', 'api_keys.key_id', 'oauth_grants.key_id')
    .innerJoin('oauth_clients', 'oauth_clients.client_id', 'oauth_grants.client_id')
    .select(['oauth_grants.grant_id', 'oauth_grants.client_id', 'oauth_clients.name', 'oauth_grants.key_id'])
    .select(['oauth_grants.created_at', 'oauth_grants.expires_at'])
    .select(sql<string[]>`string_to_array(payload -> 'openid' ->> 'scope', ' ')`.as('scopes'))
    .where('api_keys.account_id', '=', account_id)
    .where('oauth_grants.expires_at', '>', sql<string>`now()`);
  return onPage(grants, byTime('oauth_grants.created_at', 'oauth_grants.grant_id'), page).execute();
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
