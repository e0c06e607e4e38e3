import { sql, type Kysely } from 'kysely';

/** Gates know who has answered them, and why; runs can be held, and their tasks steered. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    alter table gates
      add column by jsonb,
      add column note text;
    alter table runs
      add column held_at timestamptz,
      add column steered integer not null default 0;
    alter table tasks
      add column round integer not null default 0;
  `.execute(db);
}
