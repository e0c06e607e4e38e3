import { sql, type Kysely } from 'kysely';

/** Runs are found by labels, words, status and kind. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    -- Shuts out no reader, while what is there is indexed.
    lock table runs in share row exclusive mode;

    create index runs_status on runs (account_id, status, created_at desc, run_id desc);
    create index runs_of_orchestrations on runs (account_id, created_at desc, run_id desc) where kind = 'orchestration';

    -- Apart from the runs, which are written again and again: a row that is written anew is indexed anew.
    create table run_search (
      run_id text primary key references runs on delete cascade,
      document tsvector not null
    );
    insert into run_search (run_id, document)
      select run_id, array_to_tsvector(array['a' || md5(account_id)]) || to_tsvector('simple', task) from runs;
    create index run_search_document on run_search using gin (document);

    -- A trigger, so that it holds also for runs that processes of the release before go on to accept. What it does is in
    -- db/functions, and comes at the end of all migrations.
    create function index_run() returns trigger language plpgsql as 'begin return null; end';
    create trigger run_search after insert or update of task, tags, metadata on runs
      for each row execute function index_run();
  `.execute(db);
}
