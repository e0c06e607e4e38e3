import { sql, type Kysely } from 'kysely';

/** Runs that take over the plan and outputs of another. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table runs add column forked_from text, add column plan jsonb;
  `.execute(db);
}
