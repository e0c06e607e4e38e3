import { sql, type Kysely } from 'kysely';

/** Limits of a run's spending. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table runs
      add column max_cost_usd double precision,
      add column max_tokens bigint,
      add column on_budget text not null default 'gate';

    create table budget_reservations (
      call_id text primary key,
      run_id text not null references runs on delete cascade,
      tokens bigint not null,
      cost_usd double precision not null,
      expires_at timestamptz(3) not null
    );
    create index budget_reservations_run on budget_reservations (run_id);
  `.execute(db);
}
