import { sql, type Kysely } from 'kysely';

/** Providers that serve models of other makers, or stand in for another one; and what a run's calls wait for. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    lock table providers, runs in access exclusive mode;

    alter table providers
      add column gateway boolean not null default false,
      add column replaces text references providers on delete set null;
    create index providers_replaces on providers (replaces) where replaces is not null;

    alter table runs add column retrying jsonb not null default '{}';
  `.execute(db);
}
