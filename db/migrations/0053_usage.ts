import { sql, type Kysely } from 'kysely';

/** What calls of agents have come to, by the hour, whatever becomes of their runs. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    -- In the order in which requests lock them.
    lock table accounts in share row exclusive mode;
    lock table runs, agent_calls, llm_calls, code_runs in share row exclusive mode;

    -- Of who calls, and beside it of the author of an agent that others call: then without what says who they are, or what they paid.
    create table usage_counts (
      account_id text not null,
      side text not null,
      -- In which the call was made.
      hour timestamptz not null,
      version_id uuid not null,
      agent text not null,
      version text not null,
      tenant text not null,
      key_id text not null,
      -- Both empty where it is about the call, and not about a model.
      vendor text not null default '',
      model text not null default '',
      calls bigint not null default 0,
      succeeded bigint not null default 0,
      failed bigint not null default 0,
      cancelled bigint not null default 0,
      duration_ms bigint not null default 0,
      llm_calls bigint not null default 0,
      input_tokens bigint not null default 0,
      output_tokens bigint not null default 0,
      cost_usd numeric not null default 0,
      code_runs bigint not null default 0,
      wall_ms bigint not null default 0,
      cpu_ms bigint not null default 0
    );
    -- Rows of it that are only added, so that calls do not wait for each other; housekeeping adds them up there.
    create table usage_deltas (like usage_counts including defaults);
    create index usage_deltas_hour on usage_deltas (account_id, side, hour);
    alter table usage_counts
      add primary key (account_id, side, hour, version_id, agent, tenant, key_id, vendor, model),
      add foreign key (account_id) references accounts on delete cascade;

    -- As what a run was called that is purged, for what it may use yet. It goes with the row of the run.
    create table purged_calls (
      run_id text primary key references runs on delete cascade,
      account_id text not null references accounts on delete cascade,
      owner_id text not null,
      version_id uuid not null,
      agent text not null,
      version text not null,
      tenant text,
      key_id text not null,
      created_at timestamptz(3) not null
    );
    create index purged_calls_account on purged_calls (account_id);

    -- Pages in the order of the lists, of all calls and of those that a filter leaves.
    drop index agent_calls_account;
    drop index agent_calls_owner;
    create index agent_calls_account on agent_calls (account_id, created_at desc, run_id desc);
    create index agent_calls_name on agent_calls (account_id, split_part(agent, '/', 2), created_at desc, run_id desc);
    create index agent_calls_tenant on agent_calls (account_id, tenant, created_at desc, run_id desc) where tenant is not null;
    create index agent_calls_owner on agent_calls (owner_id, version_id, created_at desc, run_id desc);

    -- What they do is in files of their names, and made after migrating.
    create function count_call() returns trigger language plpgsql as 'begin return null; end';
    create trigger usage_counts after insert on agent_calls for each row execute function count_call();
    create function count_end() returns trigger language plpgsql as 'begin return null; end';
    create trigger usage_counts after update of status on runs for each row
      when (new.agent_id is not null and new.status <> old.status and (
        new.status in ('completed', 'failed', 'cancelled') or old.status in ('completed', 'failed', 'cancelled')))
      execute function count_end();
    create function count_model_call() returns trigger language plpgsql as 'begin return null; end';
    create trigger usage_counts after insert on llm_calls for each row
      when (new.run_id is not null) execute function count_model_call();
    create function count_code_run() returns trigger language plpgsql as 'begin return null; end';
    create trigger usage_counts after insert or update of wall_ms, cpu_ms on code_runs for each row
      execute function count_code_run();
  `.execute(db);
}
