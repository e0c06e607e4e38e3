import { sql, type Kysely } from 'kysely';

/** Clients label their runs. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    alter table runs
      add column metadata jsonb not null default '{}',
      add column tags text[] not null default '{}';
  `.execute(db);
}
