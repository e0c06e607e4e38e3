import { sql, type Kysely } from 'kysely';

/** Runs say what they are of, keys have names and scopes, and what a run has may belong to an account alone. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    -- All of them at once and before anything is written anew: what requests hold is never waited for with a table in hand.
    set local lock_timeout = '3s';
    lock table accounts, texts, llm_calls, tool_calls, outbox, webhook_deliveries, api_keys, runs in access exclusive mode;

    alter table api_keys
      add column key_id text not null default 'key_' || replace(gen_random_uuid()::text, '-', ''),
      add column scopes text[] not null default '{*}',
      add column person_id text;
    create unique index api_keys_id on api_keys (key_id);

    -- Generated, so that it is right also in rows that processes of the release before go on to insert.
    alter table runs
      add column kind text not null
        generated always as (case when orchestration_id is null then 'goal' else 'orchestration' end) stored,
      add column origin text,
      add column started_by text;

    drop index runs_orchestration;
    create index runs_orchestration on runs (account_id, orchestration_id, created_at desc) where kind = 'orchestration';

    alter table texts alter column run_id drop not null,
      add column account_id text references accounts on delete cascade,
      add constraint texts_owner check (num_nonnulls(run_id, account_id) > 0);
    alter table llm_calls alter column run_id drop not null,
      add column account_id text references accounts on delete cascade,
      add constraint llm_calls_owner check (num_nonnulls(run_id, account_id) > 0);
    alter table tool_calls alter column run_id drop not null,
      add column account_id text references accounts on delete cascade,
      add constraint tool_calls_owner check (num_nonnulls(run_id, account_id) > 0);
    alter table outbox alter column run_id drop not null,
      add column account_id text references accounts on delete cascade,
      add constraint outbox_owner check (num_nonnulls(run_id, account_id) > 0);
    alter table webhook_deliveries alter column run_id drop not null,
      add constraint webhook_deliveries_url check (num_nonnulls(run_id, url) > 0);
    create index texts_account on texts (account_id) where account_id is not null;
    create index llm_calls_account on llm_calls (account_id) where account_id is not null;
    create index tool_calls_account on tool_calls (account_id) where account_id is not null;
    create index outbox_account on outbox (account_id) where account_id is not null;
  `.execute(db);
}
