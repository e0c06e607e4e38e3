import { sql, type Kysely } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table idempotency_keys (
      account_id text not null references accounts on delete cascade,
      idempotency_key text not null,
      fingerprint text not null,
      locked_until timestamptz(3) not null,
      status integer,
      answer_encrypted text,
      created_at timestamptz(3) not null default now(),
      primary key (account_id, idempotency_key)
    );
    create index idempotency_keys_age on idempotency_keys (created_at);
  `.execute(db);
}
