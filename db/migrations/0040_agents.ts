import { sql, type Kysely } from 'kysely';

/** Agents that last, with their versions; and runs of one agent, a kind of run beside goals and orchestrations. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    -- In the order in which requests lock them.
    lock table accounts in share row exclusive mode;
    lock table runs in access exclusive mode;

    create table agents (
      agent_id text primary key,
      account_id text not null references accounts on delete cascade,
      name text not null,
      -- The number of its newest version.
      latest integer not null default 1,
      created_at timestamptz(3) not null default now(),
      updated_at timestamptz(3) not null default now()
    );
    create unique index agents_name on agents (account_id, lower(name));

    -- \`json\` keeps the order of keys: models fill in schemas in the order of their properties.
    create table agent_versions (
      version_id uuid primary key default gen_random_uuid(),
      agent_id text not null references agents on delete cascade,
      number integer not null,
      spec json not null,
      created_at timestamptz(3) not null default now(),
      unique (agent_id, number)
    );

    -- No reference: an agent may be deleted while what it did stays. \`agent_run\` is what the run froze of it.
    alter table runs
      add column agent_id text,
      add column agent_run json;

    -- Writes no row anew, as another expression would. From here on a trigger says the kind, also of rows that processes of
    -- the release before go on to insert.
    alter table runs alter column kind drop expression;
    create function say_kind() returns trigger language plpgsql as 'begin return new; end';
    create trigger runs_kind before insert on runs for each row execute function say_kind();

    create index runs_agent on runs (account_id, agent_id, created_at desc) where agent_id is not null;
    create index runs_of_agents on runs (account_id, created_at desc) where kind = 'agent';
    create index runs_origin on runs (account_id, origin, created_at desc);
  `.execute(db);
}
