import { sql, type Kysely } from 'kysely';

/** Versions of agents that can be deleted one by one, and keys that belong to an agent. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';

    -- The highest number that a version has had: none is given twice, or who calls v3 would get another one.
    alter table agents add column last_number integer not null default 0;

    alter table api_keys add column agent_id text references agents on delete cascade;
    create index api_keys_agent on api_keys (agent_id) where agent_id is not null;
  `.execute(db);
}
