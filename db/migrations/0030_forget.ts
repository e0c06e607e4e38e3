import { sql, type Kysely } from 'kysely';

/** Runs and accounts are forgotten, and what they have used and spent stays counted. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    lock table accounts, runs, idempotency_keys, managed_spending in access exclusive mode;

    -- Null of one that is purged: whoever looks for the runs of an account finds it no more, also a process of the release
    -- before. The row itself goes when nothing of the run can come any more.
    alter table runs alter column account_id drop not null;
    create table purged_runs (
      run_id text primary key references runs on delete cascade,
      account_id text references accounts on delete set null,
      purged_at timestamptz(3) not null default now(),
      due_at timestamptz(3) not null default now(),
      over_at timestamptz(3)
    );
    create index purged_runs_due on purged_runs (due_at);
    create index purged_runs_account on purged_runs (account_id);
    create table purged_run_counts (
      account_id text not null references accounts on delete cascade,
      month timestamp not null,
      runs integer not null,
      primary key (account_id, month)
    );
    create index runs_ended on runs (completed_at) where completed_at is not null and account_id is not null;

    alter table idempotency_keys add column run_id text;
    create index idempotency_keys_run on idempotency_keys (run_id) where run_id is not null;

    -- What an account that is deleted has spent stays, under no name ('').
    alter table managed_spending drop constraint managed_spending_account_id_fkey;
  `.execute(db);
}
