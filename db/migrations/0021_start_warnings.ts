import { sql, type Kysely } from 'kysely';

/** What readers are warned of that was in the request which started a run; `warnings` is the workflow's. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    alter table runs add column start_warnings jsonb not null default '[]';
  `.execute(db);
}
