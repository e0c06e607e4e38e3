import { sql, type Kysely } from 'kysely';

/** A task keeps the time at which it was completed when a write that failed half-way is made again. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    do $$
    declare
      before text := pg_get_functiondef('save_progress'::regproc);
      mended text := replace(before, 'completed_at = excluded.completed_at', 'completed_at =
        case when excluded.completed_at is not null then coalesce(tasks.completed_at, excluded.completed_at) end');
    begin
      assert mended <> before;
      execute mended;
    end $$
  `.execute(db);
}
