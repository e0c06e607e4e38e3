import { sql, type Kysely } from 'kysely';

/**
 * What calls of the operator's models may cost: what is in flight, and what was paid by month and account. Providers that
 * were taken away have no key any more.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    lock table accounts, runs, providers in share row exclusive mode;

    update providers set api_key_encrypted = null where status = 'inactive';

    create table managed_reservations (
      call_id text primary key,
      run_id text not null references runs on delete cascade,
      account_id text not null references accounts on delete cascade,
      cost_usd double precision not null,
      expires_at timestamptz(3) not null
    );
    create table managed_spending (
      month timestamp not null,
      account_id text not null references accounts on delete cascade,
      cost_usd numeric not null,
      primary key (month, account_id)
    );
    insert into managed_spending (month, account_id, cost_usd)
    select date_trunc('month', now() at time zone 'UTC'), runs.account_id, sum(round(cost_usd::numeric, 9))
    from llm_calls join runs using (run_id)
    where llm_calls.provider_id is null and cost_usd is not null
      and llm_calls.created_at >= date_trunc('month', now() at time zone 'UTC') at time zone 'UTC'
    group by runs.account_id;
  `.execute(db);
}
