import { sql, type Kysely } from 'kysely';

/** Orchestrations are runs, and each execution of a step is a task. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table runs
      add column orchestration_id text,
      add column definition_hash text references definitions,
      add column shared_state jsonb,
      add column attempt integer not null default 1;
    create index runs_orchestration on runs (account_id, orchestration_id, created_at desc)
      where orchestration_id is not null;
    alter table tasks add column step jsonb;
  `.execute(db);
}
