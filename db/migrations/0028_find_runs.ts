import { sql, type Kysely } from 'kysely';

/** Runs are labelled by their clients, and found by labels, words and status. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    lock table runs in access exclusive mode;

    alter table runs
      add column metadata jsonb not null default '{}',
      add column tags text[] not null default '{}';
    create index runs_status on runs (account_id, status, created_at desc, run_id desc);

    -- Apart from the runs, which are written again and again: a row that is written anew is indexed anew.
    create table run_search (
      run_id text primary key references runs on delete cascade,
      document tsvector not null
    );
    insert into run_search (run_id, document)
      select run_id, array_to_tsvector(array['a' || md5(account_id)]) || to_tsvector('simple', task) from runs;
    create index run_search_document on run_search using gin (document);
  `.execute(db);
}
