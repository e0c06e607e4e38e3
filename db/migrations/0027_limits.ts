import { sql, type Kysely } from 'kysely';

/** Indexes of what is counted: the unfinished runs of an account, its redeliveries under way, and who needs a definition. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    lock table definitions in access exclusive mode;
    -- Indexes shut out no reader.
    lock table runs, orchestrations, webhook_deliveries in share mode;

    create index runs_unfinished on runs (account_id) where status in ('pending', 'running', 'waiting_human');
    create index runs_definition on runs (definition_hash) where definition_hash is not null;
    create index orchestrations_definition on orchestrations (hash);
    create index webhook_deliveries_again on webhook_deliveries (account_id)
      where status = 'pending' and redeliveries > 0;
    -- Whoever keeps a definition needs it a moment later; of those that are there, nobody knows since when.
    alter table definitions add column kept_at timestamptz(3) not null default now();
  `.execute(db);
}
