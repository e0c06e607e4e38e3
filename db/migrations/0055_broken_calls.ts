import { sql, type Kysely } from 'kysely';

/** What calls of the operator's models may have cost that gave no answer: they stand in no journal, and are paid all the same. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    lock table runs in share row exclusive mode;

    create table broken_calls (
      broken_id text primary key,
      run_id text not null references runs on delete cascade,
      cost_usd double precision not null,
      created_at timestamptz(3) not null default now()
    );
    create index broken_calls_run on broken_calls (run_id);
  `.execute(db);
}
