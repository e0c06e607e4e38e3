import { sql, type Kysely } from 'kysely';

/**
 * Progress without a time was made when it is written. Progress that must follow a version is written after that one or
 * not at all, and no status stands then.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    do $$
    declare
      before text := pg_get_functiondef('save_progress'::regproc);
      dated text := replace(before, 'to_timestamp((progress ->> ''at'')::numeric / 1000)',
        'coalesce(to_timestamp((progress ->> ''at'')::numeric / 1000), now())');
      fenced text := replace(dated, 'insert into tasks (', 'if stored.version <> (progress ->> ''follows'')::bigint then
        return null;
      end if;

      insert into tasks (');
    begin
      assert dated <> before and fenced <> dated;
      execute fenced;
    end $$
  `.execute(db);
}
