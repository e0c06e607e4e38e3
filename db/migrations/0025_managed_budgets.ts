import { sql, type Kysely } from 'kysely';

/**
 * What calls of the operator's models may cost: what is in flight, and an index over what was paid in a month. Providers
 * that were taken away have no key any more.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    lock table llm_calls in access exclusive mode;

    update providers set api_key_encrypted = null where status = 'inactive';

    create table managed_reservations (
      call_id text primary key,
      run_id text not null references runs on delete cascade,
      account_id text not null references accounts on delete cascade,
      cost_usd double precision not null,
      expires_at timestamptz(3) not null
    );
    create index llm_calls_managed on llm_calls (created_at) include (run_id, cost_usd) where provider_id is null;
  `.execute(db);
}
