import { sql, type Kysely } from 'kysely';

/** Subscriptions to the events of all runs of an account; and deliveries wait in Postgres for their next attempt. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    lock table webhook_deliveries in access exclusive mode;
    -- Shuts out no reader.
    lock table accounts, run_events in share row exclusive mode;

    create table webhook_subscriptions (
      subscription_id text primary key,
      account_id text not null references accounts on delete cascade,
      url text not null,
      events text[] not null,
      description text,
      status text not null default 'active',
      disabled_reason text,
      failing_since timestamptz(3),
      secret_encrypted text not null,
      created_at timestamptz(3) not null default now()
    );
    create index webhook_subscriptions_account on webhook_subscriptions (account_id, created_at desc);

    create table retired_subscription_secrets (
      subscription_id text not null references webhook_subscriptions on delete cascade,
      account_id text not null references accounts on delete cascade,
      secret_encrypted text not null,
      expires_at timestamptz(3) not null
    );
    create index retired_subscription_secrets_subscription
      on retired_subscription_secrets (subscription_id, expires_at);

    -- Not a reference: what was sent stays in the log.
    alter table webhook_deliveries
      add column subscription_id text,
      add column seq integer,
      add column holds_up boolean not null default false,
      add column failures integer not null default 0,
      add column next_attempt_at timestamptz(3);
    create index webhook_deliveries_due on webhook_deliveries (account_id, next_attempt_at)
      where next_attempt_at is not null;
    create unique index webhook_deliveries_order on webhook_deliveries (subscription_id, run_id) where holds_up;
    create index webhook_deliveries_subscription
      on webhook_deliveries (subscription_id, created_at desc, delivery_id desc) where subscription_id is not null;

    -- A trigger, so that it holds also for events that processes of the release before go on to write. What it does is in
    -- db/functions, and comes at the end of all migrations.
    create function tell_subscriptions() returns trigger language plpgsql as 'begin return null; end';
    create trigger tell_subscriptions after insert on run_events referencing new table as fresh
      for each statement execute function tell_subscriptions();
  `.execute(db);
}
