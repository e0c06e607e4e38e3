import { sql } from 'kysely';
import type { Db } from './index.ts';
import type { IdempotencyKey } from './schema.ts';

export type KeyName = { account_id: string; idempotency_key: string };

/** Longer than a request may last, but for those that say so; when its process has died, a retry must wait no longer. */
export const lock_seconds = 15;

/** Older keys are forgotten, whether they are deleted yet or not. */
const oldest = sql<string>`now() - interval '24 hours'`;

/**
 * Takes a key for a request. `taken: 'fresh'` at its first use in 24 hours; `'again'` when its first request died
 * without an answer, or failed on our side; `taken: undefined` with the row when it is in flight, answered, or was used
 * for another request.
 */
export async function takeIdempotencyKey(
  db: Db,
  name: KeyName,
  fingerprint: string,
  longest_seconds = lock_seconds,
): Promise<{ taken: 'fresh' | 'again'; created_at: string } | { taken?: undefined; row: IdempotencyKey }> {
  const lockedUntil = sql<string>`now() + make_interval(secs => ${longest_seconds})`;
  const fresh = await db
    .insertInto('idempotency_keys')
    .values({ ...name, fingerprint, locked_until: lockedUntil })
    .onConflict((conflict) =>
      conflict
        .columns(['account_id', 'idempotency_key'])
        .doUpdateSet({
          fingerprint,
          locked_until: lockedUntil,
          run_id: null,
          status: null,
          answer_encrypted: null,
          created_at: sql`now()`,
        })
        .where('idempotency_keys.created_at', '<', oldest),
    )
    .returning('created_at')
    .executeTakeFirst();
  if (fresh) return { taken: 'fresh', ...fresh };
  const again = await named(db.updateTable('idempotency_keys'), name)
    .set({ locked_until: lockedUntil })
    .where('fingerprint', '=', fingerprint)
    .where('status', 'is', null)
    .where('locked_until', '<=', sql<string>`now()`)
    .returning('created_at')
    .executeTakeFirst();
  if (again) return { taken: 'again', ...again };
  const row = await named(db.selectFrom('idempotency_keys').selectAll(), name).executeTakeFirst();
  // Forgotten since we looked, for its age: this one is the first.
  return row ? { row } : takeIdempotencyKey(db, name, fingerprint, longest_seconds);
}

/** Forgets a kept answer that cannot be read, so that its request may be made again, as one that died without an answer. */
export async function forgetIdempotentAnswer(db: Db, name: KeyName, answer_encrypted: string): Promise<void> {
  await named(db.updateTable('idempotency_keys'), name)
    .set({ status: null, answer_encrypted: null, locked_until: sql<string>`now()` })
    .where('answer_encrypted', '=', answer_encrypted)
    .execute();
}

/**
 * Keeps the answer for those who ask again. Returns false when it is not kept: the run that it is about is not the
 * account's, or is purged by now.
 */
export async function answerIdempotencyKey(
  db: Db,
  name: KeyName,
  { run_id = null, ...answer }: { status: number; answer_encrypted: string; run_id?: string | null },
): Promise<boolean> {
  const { numUpdatedRows } = await db
    // Held, so that whoever purges it finds this answer.
    .with('run', (cte) =>
      cte
        .selectFrom('runs')
        .select('run_id')
        .where('run_id', '=', run_id)
        .where('account_id', '=', name.account_id)
        .forKeyShare(),
    )
    .updateTable('idempotency_keys')
    .set((eb) => ({ ...answer, run_id: eb.fn.coalesce('idempotency_keys.run_id', sql<string | null>`${run_id}`) }))
    .where('account_id', '=', name.account_id)
    .where('idempotency_key', '=', name.idempotency_key)
    .where('status', 'is', null)
    .where(sql<boolean>`(${run_id}::text is null or idempotency_keys.run_id is not null or exists (select from run))`)
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

/** Lets a request that failed on our side be sent again at once. What it began may be done, or be done yet. */
export async function releaseIdempotencyKey(db: Db, name: KeyName): Promise<void> {
  await named(db.updateTable('idempotency_keys'), name)
    .set({ locked_until: sql<string>`now()` })
    .where('status', 'is', null)
    .execute();
}

/** Forgets keys after 24 hours. */
export async function deleteOldIdempotencyKeys(db: Db): Promise<void> {
  await db.deleteFrom('idempotency_keys').where('created_at', '<', oldest).execute();
}

function named<Q extends { where(column: 'account_id' | 'idempotency_key', operator: '=', value: string): Q }>(
  query: Q,
  { account_id, idempotency_key }: KeyName,
): Q {
  return query.where('account_id', '=', account_id).where('idempotency_key', '=', idempotency_key);
}
