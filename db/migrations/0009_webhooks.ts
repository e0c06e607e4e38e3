import { sql, type Kysely } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table retired_webhook_secrets (
      account_id text not null references accounts on delete cascade,
      secret_encrypted text not null,
      expires_at timestamptz(3) not null
    );
    create index retired_webhook_secrets_account on retired_webhook_secrets (account_id, expires_at);

    alter table webhook_deliveries
      add column account_id text references accounts on delete cascade,
      add column redeliveries integer not null default 0,
      add column is_gone boolean not null default false,
      add column last_attempt_at timestamptz(3);
    update webhook_deliveries set account_id = runs.account_id from runs where runs.run_id = webhook_deliveries.run_id;
    alter table webhook_deliveries alter column account_id set not null;
    create index webhook_deliveries_account on webhook_deliveries (account_id, created_at desc, delivery_id desc);
  `.execute(db);
}
