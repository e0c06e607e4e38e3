import type { Insertable } from 'kysely';
import type { Db } from './index.ts';
import type { ApiKey, Database } from './schema.ts';

/** Creates an account with its first key. Returns false when the e-mail has one already; nothing is written then. */
export function insertAccount(
  db: Db,
  account: Insertable<Database['accounts']>,
  key: Omit<Insertable<Database['api_keys']>, 'account_id'>,
): Promise<boolean> {
  return db.transaction().execute(async (trx) => {
    const inserted = await trx
      .insertInto('accounts')
      .values(account)
      .onConflict((conflict) => conflict.doNothing())
      .returning('account_id')
      .executeTakeFirst();
    if (!inserted) return false;
    await trx
      .insertInto('api_keys')
      .values({ ...key, account_id: account.account_id })
      .execute();
    return true;
  });
}

/** Whose a key is and what it may do, by the key's SHA-256, or undefined. */
export function findPrincipalByKey(
  db: Db,
  key_sha256: string,
): Promise<Pick<ApiKey, 'account_id' | 'key_id' | 'scopes' | 'person_id'> | undefined> {
  return db
    .selectFrom('api_keys')
    .select(['account_id', 'key_id', 'scopes', 'person_id'])
    .where('key_sha256', '=', key_sha256)
    .executeTakeFirst();
}
