import { sql, type Kysely } from 'kysely';

/** How long gates wait. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table runs
      add column gate_due_in text,
      add column remind_every text,
      add column on_timeout text not null default 'wait',
      add column escalation_webhook_url text;
    alter table gates add column due_at timestamptz(3);
    alter table webhook_deliveries add column url text;
    -- A run that reminds people for years has a long history.
    alter table runs alter column version type bigint;
    alter table tasks alter column version type bigint;
  `.execute(db);
}
