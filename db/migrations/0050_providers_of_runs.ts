import { sql, type Kysely } from 'kysely';

/** A key of a model that came with one call: a provider of that run alone. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    -- In the order in which requests lock them.
    lock table runs in share row exclusive mode;
    alter table providers add column run_id text references runs on delete cascade;
    create index providers_run on providers (run_id) where run_id is not null;

    -- What it does is in a file of its name, and made after migrating.
    create function forget_call_key() returns trigger language plpgsql as 'begin return null; end';
    create trigger call_keys after update of status on runs for each row
      when (new.origin = 'orchagent' and new.status in ('completed', 'failed', 'cancelled') and new.status <> old.status)
      execute function forget_call_key();
  `.execute(db);
}
