import { sql, type Kysely } from 'kysely';

/** The one after 0010: a 0011 was never shipped. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    -- By the hash of their content, so that a run keeps the one that it began with. \`json\` keeps the order of keys.
    create table definitions (
      hash text primary key,
      definition json not null
    );

    create table orchestrations (
      account_id text not null references accounts on delete cascade,
      id text not null,
      hash text not null references definitions,
      created_at timestamptz(3) not null default now(),
      updated_at timestamptz(3) not null default now(),
      primary key (account_id, id)
    );
  `.execute(db);
}
