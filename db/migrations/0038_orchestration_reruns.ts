import { sql, type Kysely } from 'kysely';

/** Runs of orchestrations know what their state began with, and from where they do another one again. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    alter table runs
      add column first_state jsonb,
      add column rerun_from jsonb;
  `.execute(db);
}
