import { sql, type Transaction } from 'kysely';
import type { Db } from './index.ts';
import type { Database } from './schema.ts';

/** What a run may spend and has spent. `max_…` are null without a limit, and include what people have approved. */
export type Budget = {
  approvals: number;
  max_tokens: number | null;
  max_cost_usd: number | null;
  used_tokens: number;
  used_cost_usd: number;
};

/**
 * Reserves what a call may cost at most, with the run locked, so that calls at once cannot pass a limit together.
 * `held`: other calls have reserved what is left, and may not need it; `exceeded`: what is left does not cover the call.
 * A second reservation for a call replaces the first; one that is not settled ends after `seconds`.
 */
export async function reserveBudget(
  db: Db,
  call: { run_id: string; call_id: string; tokens: number; cost_usd: number },
  seconds: number,
): Promise<Budget & { outcome: 'reserved' | 'held' | 'exceeded' }> {
  const { run_id, call_id, tokens, cost_usd } = call;
  const { rows } = await sql<{ budget: Budget & { outcome: 'reserved' | 'held' | 'exceeded' } }>`
    select reserve_budget(${run_id}, ${call_id}, ${tokens}, ${cost_usd}, ${seconds}) as budget`.execute(db);
  return rows[0]!.budget;
}

/**
 * Of new limits, if the change has any, each approval so far grants them once more, and nothing beyond: what was granted by the
 * size of a call is no more. The caller holds the lock on the run.
 */
export async function takeBackGrants(trx: Transaction<Database>, run_id: string, change: object): Promise<void> {
  if (!('max_tokens' in change) && !('max_cost_usd' in change)) return;
  await trx
    .updateTable('gates')
    .set({ asked: null })
    .where('run_id', '=', run_id)
    .where('kind', '=', 'budget')
    .where('status', '<>', 'open')
    .execute();
}

/** Gives back what was reserved for a call that was not paid. `insertLlmCall` settles one that was. */
export async function releaseBudget(db: Db, call_id: string): Promise<void> {
  await db.deleteFrom('budget_reservations').where('call_id', '=', call_id).execute();
}

/** Appends the event `budget.warning`, once for each limit, when this share of it (0-1) is used. */
export async function warnOfBudget(db: Db, run_id: string, share: number): Promise<void> {
  await sql`select warn_of_budget(${run_id}, ${share})`.execute(db);
}
