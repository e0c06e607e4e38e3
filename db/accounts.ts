import type { Insertable } from 'kysely';
import type { Db } from './index.ts';
import type { Database } from './schema.ts';

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

/** The account that a key belongs to, by the key's SHA-256, or undefined. */
export async function findAccountIdByKey(db: Db, key_sha256: string): Promise<string | undefined> {
  const key = await db
    .selectFrom('api_keys')
    .select('account_id')
    .where('key_sha256', '=', key_sha256)
    .executeTakeFirst();
  return key?.account_id;
}
