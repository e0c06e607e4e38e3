import { sql, type Kysely } from 'kysely';

/** Progress without a time was made when it is written. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    do $$
    declare
      before text := pg_get_functiondef('save_progress'::regproc);
      mended text := replace(before, 'to_timestamp((progress ->> ''at'')::numeric / 1000)',
        'coalesce(to_timestamp((progress ->> ''at'')::numeric / 1000), now())');
    begin
      assert mended <> before;
      execute mended;
    end $$
  `.execute(db);
}
