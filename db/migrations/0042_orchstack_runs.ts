import { sql, type Kysely } from 'kysely';

/** Over which channel a run came, and for which user of its client; and for its trace how long calls took, and which tries have failed. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    lock table runs, llm_calls, tool_calls in access exclusive mode;

    alter table runs
      add column channel text,
      add column user_id text;
    alter table llm_calls add column duration_ms integer;
    alter table tool_calls add column duration_ms integer;

    create table failed_tries (
      run_id text not null references runs on delete cascade,
      try_key text not null,
      task_id text,
      tries integer not null,
      reason text not null,
      created_at timestamptz(3) not null default now(),
      primary key (run_id, try_key)
    );

    -- In the order of lists. Of runs that have none of it they hold nothing.
    create index runs_channel on runs (account_id, channel, created_at desc, run_id desc) where channel is not null;
    create index runs_user on runs (account_id, user_id, created_at desc, run_id desc) where user_id is not null;
  `.execute(db);
}
