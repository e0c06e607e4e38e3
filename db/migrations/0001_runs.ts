import { sql, type Kysely } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table accounts (
      account_id text primary key,
      name text not null,
      email text not null,
      managed_runs_used integer not null default 0,
      webhook_secret_encrypted text not null,
      created_at timestamptz(3) not null default now()
    );
    create unique index accounts_email on accounts (lower(email));

    create table api_keys (
      key_sha256 text primary key,
      key_prefix text not null,
      account_id text not null references accounts on delete cascade,
      created_at timestamptz(3) not null default now()
    );

    create table providers (
      provider_id text primary key,
      account_id text not null references accounts on delete cascade,
      provider text not null,
      label text,
      model text not null,
      base_url text,
      api_key_encrypted text,
      status text not null default 'active',
      created_at timestamptz(3) not null default now()
    );
    create index providers_account on providers (account_id, created_at desc);

    create table runs (
      run_id text primary key,
      account_id text not null references accounts on delete cascade,
      version integer not null default 0,
      event_seq integer not null default 0,
      status text not null default 'pending',
      phase text not null default 'queued',
      task text not null,
      agents jsonb not null,
      human_gates jsonb not null,
      ask_me_about jsonb not null,
      require_approval boolean not null,
      webhook_url text,
      provider_id text,
      final_output_id text,
      error text,
      warnings jsonb not null default '[]',
      created_at timestamptz(3) not null default now(),
      started_at timestamptz(3),
      completed_at timestamptz(3)
    );
    create index runs_account on runs (account_id, created_at desc, run_id desc);

    create table tasks (
      run_id text not null references runs on delete cascade,
      id text not null,
      position integer not null,
      version integer not null default 0,
      title text not null,
      description text not null,
      kind text not null,
      agent text,
      model text,
      depends_on jsonb not null default '[]',
      status text not null default 'pending',
      attempts integer not null default 0,
      output_id text,
      evaluation jsonb,
      error text,
      started_at timestamptz(3),
      completed_at timestamptz(3),
      primary key (run_id, id)
    );

    create table gates (
      gate_id text primary key,
      run_id text not null references runs on delete cascade,
      task_id text not null,
      kind text not null,
      status text not null,
      reason text,
      decisions jsonb not null,
      decision text,
      answer_id text,
      opened_at timestamptz(3) not null default now(),
      answered_at timestamptz(3)
    );
    create index gates_task on gates (run_id, task_id, opened_at desc);

    create table texts (
      text_id text primary key,
      run_id text not null references runs on delete cascade,
      text text not null
    );
    create index texts_run on texts (run_id);

    create table llm_calls (
      call_id text primary key,
      run_id text not null references runs on delete cascade,
      task_id text,
      purpose text not null,
      vendor text not null,
      model text not null,
      provider_id text,
      finish text not null,
      input_tokens integer not null,
      output_tokens integer not null,
      cost_usd double precision,
      created_at timestamptz(3) not null default now()
    );
    create index llm_calls_run on llm_calls (run_id);

    create table run_events (
      run_id text not null references runs on delete cascade,
      seq integer not null,
      event_key text not null,
      type text not null,
      data jsonb not null,
      created_at timestamptz(3) not null default now(),
      primary key (run_id, seq)
    );

    create unique index run_events_key on run_events (run_id, event_key);

    create table outbox (
      outbox_id bigint generated always as identity primary key,
      run_id text not null references runs on delete cascade,
      message jsonb not null,
      attempts integer not null default 0,
      next_attempt_at timestamptz(3) not null default now(),
      created_at timestamptz(3) not null default now()
    );
    create index outbox_run on outbox (run_id, outbox_id);

    create table webhook_deliveries (
      delivery_id text primary key,
      run_id text not null references runs on delete cascade,
      event text not null,
      body text not null,
      status text not null default 'pending',
      attempts integer not null default 0,
      last_response text,
      created_at timestamptz(3) not null default now(),
      delivered_at timestamptz(3)
    );
    create index webhook_deliveries_run on webhook_deliveries (run_id);
  `.execute(db);
}
