import { sql, type Kysely } from 'kysely';

/** A key of a model that came with one call: a provider of that run alone. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    alter table providers add column run_id text references runs on delete cascade;
    create index providers_run on providers (run_id) where run_id is not null;
  `.execute(db);
}
