import { sql, type Kysely } from 'kysely';

/** The gate at which a call of a tool was approved: it is of that call alone. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    lock table tool_calls in access exclusive mode;

    alter table tool_calls add column gate_id text;
    create unique index tool_calls_gate on tool_calls (gate_id) where gate_id is not null;
  `.execute(db);
}
