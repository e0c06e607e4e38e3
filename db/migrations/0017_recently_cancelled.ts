import { sql, type Kysely } from 'kysely';

/** Finds the runs that were cancelled a moment ago, to see whether Temporal knows. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create index runs_cancelled on runs (completed_at) where status = 'cancelled'`.execute(db);
}
