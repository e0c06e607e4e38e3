import { sql, type Kysely } from 'kysely';

/** Organisations with slugs, agents that are published for others to call, and the calls of them. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    -- In the order in which requests lock them.
    lock table accounts in access exclusive mode;
    lock table runs in access exclusive mode;

    -- Those that know no slugs get one that nobody guesses.
    alter table accounts
      add column slug text not null default 'org-' || substr(replace(gen_random_uuid()::text, '-', ''), 1, 12);
    create unique index accounts_slug on accounts (slug);

    -- How a version is offered, which may change while what it does does not; and the code that it runs.
    alter table agent_versions
      add column type text not null default 'agent',
      add column is_public boolean not null default false,
      add column callable boolean not null default true,
      add column allow_local_download boolean not null default false,
      add column price_cents integer,
      add column tags text[] not null default '{}',
      add column deprecated_at timestamptz(3),
      add column code_hash text,
      add column bundle_size_bytes integer,
      add column entrypoint text;
    create index agent_versions_public on agent_versions (created_at desc, version_id desc) where is_public;

    -- Why it failed, as a word that programs read.
    alter table runs add column error_code text;

    -- No reference to what is called: it may be deleted while what it did stays.
    create table agent_calls (
      run_id text primary key references runs on delete cascade,
      account_id text not null references accounts on delete cascade,
      key_id text not null,
      owner_id text not null,
      version_id uuid not null,
      agent text not null,
      version text not null,
      endpoint text not null,
      tenant text,
      -- What was asked for, as a retry of it would ask again; who waits for the answer, and at which API process.
      fingerprint text not null,
      waiter uuid,
      listener integer,
      left_at timestamptz(3),
      answered_at timestamptz(3),
      root_run_id text not null,
      parent_run_id text,
      chain text[] not null,
      max_hops integer,
      deadline_at timestamptz(3),
      -- What it may call and spend on that.
      downstream jsonb not null default '{}',
      -- With codes; the run has their words.
      warnings jsonb not null default '[]',
      created_at timestamptz(3) not null default now()
    );
    create index agent_calls_account on agent_calls (account_id, created_at desc);
    create index agent_calls_owner on agent_calls (owner_id, version_id, created_at desc);
    create index agent_calls_root on agent_calls (root_run_id);
    create index agent_calls_parent on agent_calls (parent_run_id) where parent_run_id is not null;
    create index agent_calls_below on agent_calls (created_at) where parent_run_id is not null;
    create index agent_calls_left on agent_calls (key_id, fingerprint) where answered_at is null;
    create index agent_calls_waiter on agent_calls (waiter) where waiter is not null;
  `.execute(db);
}
