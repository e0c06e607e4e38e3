import { sql, type Kysely } from 'kysely';

/** Keys are live or for tests, as are the runs that are started with them; and accounts may have a tier. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    lock table accounts, api_keys, runs in access exclusive mode;

    -- Null: that of the server.
    alter table accounts add column tier text;
    alter table api_keys add column mode text not null default 'live';
    alter table runs add column mode text not null default 'live';
  `.execute(db);
}
