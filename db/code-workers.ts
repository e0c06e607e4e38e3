import { sql } from 'kysely';
import type { Db } from './index.ts';
import type { CodeWorker } from './schema.ts';

/** Which workers run code, as they tell the API, which is another process. */

/** A worker tells of itself every so often, in seconds; one that has not for this long is not there. */
export const tellsEvery_seconds = 20;
const lostAfter = sql`interval '70 seconds'`;

/** Notes what a worker says of itself. */
export async function noteCodeWorker(
  db: Db,
  worker: Pick<CodeWorker, 'worker_id' | 'driver' | 'languages' | 'reason'>,
): Promise<void> {
  const { worker_id: _, ...told } = worker;
  await db
    .insertInto('code_workers')
    .values(worker)
    .onConflict((conflict) => conflict.column('worker_id').doUpdateSet({ ...told, seen_at: sql`now()` }))
    .execute();
}

/** A worker that ends is not there any more. */
export async function removeCodeWorker(db: Db, worker_id: string): Promise<void> {
  await db.deleteFrom('code_workers').where('worker_id', '=', worker_id).execute();
}

/** Those that are there, with a sandbox first. */
export function listCodeWorkers(db: Db): Promise<Pick<CodeWorker, 'driver' | 'languages' | 'reason'>[]> {
  return db
    .selectFrom('code_workers')
    .select(['driver', 'languages', 'reason'])
    .where(sql<boolean>`seen_at > now() - ${lostAfter}`)
    .orderBy(sql`driver is null`)
    .orderBy('seen_at', 'desc')
    .execute();
}

/** Forgets those that were lost without a word. */
export async function forgetLostWorkers(db: Db): Promise<void> {
  await db
    .deleteFrom('code_workers')
    .where(sql<boolean>`seen_at < now() - interval '1 day'`)
    .execute();
}
