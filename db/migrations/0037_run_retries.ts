import { sql, type Kysely } from 'kysely';

/**
 * Runs know how much of what people have done to their tasks their workflow has heard of, so that they can be tried again;
 * questions about a budget know what was asked for.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    lock table runs, gates in access exclusive mode;
    alter table runs add column heard integer;
    alter table gates add column asked jsonb;
  `.execute(db);
}
