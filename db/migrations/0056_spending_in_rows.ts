import { sql, type Kysely } from 'kysely';

/** What was spent of the operator's models is added in rows of its own, so that calls of an account do not wait for each other. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    lock table managed_spending in access exclusive mode;
    alter table managed_spending drop constraint managed_spending_pkey;
    alter table managed_spending add column spending_id bigint generated always as identity primary key;
    create index managed_spending_month on managed_spending (month, account_id);
  `.execute(db);
}
