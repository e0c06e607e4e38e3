import { sql, type Kysely } from 'kysely';

/** Keys have names and may expire, and accounts can be suspended. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    lock table accounts, api_keys in access exclusive mode;

    alter table accounts add column suspended_at timestamptz(3);
    -- Until now an account had the key of its registration.
    alter table api_keys
      add column name text not null default 'First key',
      add column expires_at timestamptz(3),
      add column last_used_at timestamptz(3);
    create index api_keys_account on api_keys (account_id, created_at desc);
    create index api_keys_expiry on api_keys (expires_at) where expires_at is not null;
  `.execute(db);
}
