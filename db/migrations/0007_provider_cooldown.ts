import { sql, type Kysely } from 'kysely';

/** Providers that ask to be left alone for a while, and those that take over from one that refuses. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table provider_cooldowns (
      provider_id text primary key,
      blocked_until timestamptz(3) not null
    );
    alter table runs add column fallback_provider_ids jsonb not null default '[]';
  `.execute(db);
}
