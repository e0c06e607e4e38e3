import { sql } from 'kysely';
import type { Db } from './index.ts';

/** What calls of the operator's models may cost in USD: of a run, and in a month (UTC) of an account and of all. Null is no limit. */
export type ManagedLimits = { run: number | null; account: number | null; server: number | null };

/**
 * Reserves what a call of the operator's models may cost at most, so that calls at once cannot pass a limit together.
 * Else says which limit leaves no room for it; `held`: other calls have reserved what is left, and may not need it. One
 * that is not released ends after `seconds`.
 */
export async function reserveManaged(
  db: Db,
  call: { run_id: string; call_id: string; cost_usd: number },
  { run, account, server }: ManagedLimits,
  seconds: number,
): Promise<'reserved' | 'held' | keyof ManagedLimits> {
  const { run_id, call_id, cost_usd } = call;
  const { rows } = await sql<{ outcome: 'reserved' | 'held' | keyof ManagedLimits }>`
    select reserve_managed(${run_id}, ${call_id}, ${cost_usd}, ${seconds}, ${run}, ${account}, ${server}) as outcome`.execute(
    db,
  );
  return rows[0]!.outcome;
}

/**
 * Counts what a call may have cost that gave no answer, for its run and for the month. `broken_id` is of one request to a
 * vendor: told again, it counts nothing more.
 */
export async function countBrokenCall(
  db: Db,
  { broken_id, run_id, cost_usd }: { broken_id: string; run_id: string; cost_usd: number },
): Promise<void> {
  await sql`select count_broken_call(${broken_id}, ${run_id}, ${cost_usd})`.execute(db);
}

/** Gives back what was reserved, once what was paid is in the journal, or counted as broken. */
export async function releaseManaged(db: Db, call_id: string): Promise<void> {
  await db.deleteFrom('managed_reservations').where('call_id', '=', call_id).execute();
}

/** Of calls that ended without a word. */
export async function deleteExpiredManagedReservations(db: Db): Promise<void> {
  await db
    .deleteFrom('managed_reservations')
    .where('expires_at', '<', sql<string>`now()`)
    .execute();
}

/** Adds up what was spent, which each call adds in a row of its own. */
export async function foldManaged(db: Db): Promise<void> {
  await sql`select fold_managed(null)`.execute(db);
}

/** Until the transaction ends nothing else is reserved, nor added up. */
export async function lockManaged(trx: Db): Promise<void> {
  await sql`select lock_managed()`.execute(trx);
}
