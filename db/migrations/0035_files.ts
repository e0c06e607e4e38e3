import { sql, type Kysely } from 'kysely';

/** Files of accounts, whose bytes lie in a store outside of Postgres, under their ids; and what runs were given of them. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    lock table accounts, runs in share row exclusive mode;

    -- A row is there before anything is in the store, and until nothing is.
    create table files (
      file_id text primary key,
      account_id text references accounts on delete set null,
      status text not null default 'uploading',
      name text not null,
      media_type text not null,
      size integer not null,
      sha256 text not null,
      request_id text,
      created_at timestamptz(3) not null default now()
    );
    create index files_account on files (account_id, created_at desc, file_id desc);
    create unique index files_request on files (request_id) where request_id is not null;
    create index files_to_remove on files (created_at) where status <> 'stored' or account_id is null;

    -- What a run was given, as it was then: its texts are the run's own, whatever becomes of the file.
    create table run_files (
      run_id text not null references runs on delete cascade,
      gate_id text not null default '',
      file_id text not null,
      task_id text,
      position integer not null,
      name text not null,
      media_type text not null,
      size integer not null,
      text_id text,
      primary key (run_id, gate_id, file_id)
    );
    create index run_files_file on run_files (file_id);
  `.execute(db);
}
