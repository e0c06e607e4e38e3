import { sql, type Kysely } from 'kysely';

/** Which executions of its workflow have written a run, and from which version on the newest one counts. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    alter table runs
      add column writers text[] not null default '{}',
      add column version_base bigint not null default 0;
  `.execute(db);
}
