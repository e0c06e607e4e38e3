import { sql, type Kysely } from 'kysely';

/** A gate knows the request that answered it, so that a retry of that request is told so, and no other is. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table gates add column answered_by text;
    -- Its successor takes the request too. It is there only where an older release has made it.
    drop function if exists settle_gate(text, text, text, text);
  `.execute(db);
}
