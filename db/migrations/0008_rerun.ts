import { sql, type Kysely } from 'kysely';

/** Runs that take over the plan and outputs of another. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table runs add column forked_from text, add column plan jsonb;

    -- Adds to the view as the migrations before this one left it.
    do $$ begin
      execute replace(pg_get_functiondef('run_view'::regproc), 'runs.provider_id,',
        'runs.provider_id, runs.forked_from,');
    end $$
  `.execute(db);
}
