import { sql, type Kysely } from 'kysely';

/** Code of people: its archives, what was run of it, what that has left, and the workers that have a sandbox for it. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    -- In the order in which requests lock them.
    lock table runs in share row exclusive mode;
    lock table api_keys in access exclusive mode;
    alter table api_keys add column run_id text references runs on delete cascade;
    create index api_keys_run on api_keys (run_id) where run_id is not null;

    create table bundles (
      code_hash text primary key,
      bundle_size_bytes integer not null,
      unpacked_bytes integer not null,
      files integer not null,
      status text not null default 'storing',
      kept_at timestamptz(3) not null default now()
    );
    create index bundles_kept on bundles (kept_at);
    create index agent_versions_code on agent_versions (code_hash) where code_hash is not null;

    -- The row of a try is there before its process begins.
    create table code_runs (
      call_id text not null,
      try integer not null,
      run_id text not null references runs on delete cascade,
      task_id text,
      worker_id text not null,
      key_id text,
      started_at timestamptz(3) not null default now(),
      ended text,
      ended_at timestamptz(3),
      exit_code integer,
      wall_ms integer,
      cpu_ms integer,
      stdout_id text,
      stderr_id text,
      stdout_is_cut boolean not null default false,
      stderr_is_cut boolean not null default false,
      output_id text,
      fault json,
      primary key (call_id, try)
    );
    create index code_runs_run on code_runs (run_id);

    create table code_files (
      call_id text not null,
      name text not null,
      run_id text not null references runs on delete cascade,
      file_id text not null,
      media_type text not null,
      size integer not null,
      primary key (call_id, name)
    );
    create index code_files_run on code_files (run_id);

    create table code_workers (
      worker_id text primary key,
      driver text,
      languages text[] not null,
      reason text,
      seen_at timestamptz(3) not null default now()
    );
  `.execute(db);
}
