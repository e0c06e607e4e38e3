import { sql, type Kysely } from 'kysely';

/** Runs may begin later: at a time that was asked for, or when their account has a place for them. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    lock table runs in access exclusive mode;
    -- Null: it begins at once, as those of the release before do.
    alter table runs
      add column start_at timestamptz(3),
      add column queued_at timestamptz;
    -- What waits, in its order; and what is under way, however much waits beside it.
    create index runs_queued on runs (account_id, queued_at, run_id) where queued_at is not null;
    create index runs_active on runs (account_id)
      where queued_at is null and status in ('pending', 'running', 'waiting_human');
  `.execute(db);
}
