import { sql, type Insertable } from 'kysely';
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

/** The account of an e-mail, whatever its case, or undefined. */
export function findAccountByEmail(db: Db, email: string): Promise<{ account_id: string } | undefined> {
  return db
    .selectFrom('accounts')
    .select('account_id')
    .where(sql`lower(email)`, '=', sql`lower(${email})`)
    .executeTakeFirst();
}

/** For how long an account has been suspended, in milliseconds; null when it is not. */
export const suspendedMs = sql<number | null>`extract(epoch from now() - accounts.suspended_at)::float8 * 1000`;

/** Suspends an account, or ends that. One that is suspended already stays so since then. */
export async function setSuspended(db: Db, account_id: string, isSuspended: boolean): Promise<void> {
  await db
    .updateTable('accounts')
    .set({ suspended_at: isSuspended ? sql`coalesce(suspended_at, now())` : null })
    .where('account_id', '=', account_id)
    .execute();
}
