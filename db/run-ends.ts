import { sql, type Transaction } from 'kysely';
import { eventOf } from '../workflows/contract/events.ts';
import { hasEnded, type RunStatus } from '../workflows/contract/states.ts';
import type { Db } from './index.ts';
import { insertOutboxEntry, type OutboxEntry } from './outbox.ts';
import { appendEvents } from './progress.ts';
import { lockOwnRun, type Doing } from './runs.ts';
import type { Database } from './schema.ts';
import { insertEndDelivery } from './webhooks.ts';

/** How runs end that do not end by themselves: they are cancelled, or their workflow is gone. */

/**
 * Cancels a run for every reader at once: run, open tasks and gates, event, and the outbox entry that tells its
 * workflow; of one that has not begun there is none, and its webhook is told from here. Returns the status it had, or undefined
 * when this account has none of this id; a finished run stays.
 */
export function cancelRun(
  db: Db,
  account_id: string,
  run_id: string,
  doing: Doing,
): Promise<{ before: RunStatus; entry?: OutboxEntry } | undefined> {
  return db.transaction().execute(async (trx) => {
    const run = await lockOwnRun(trx, account_id, run_id);
    if (!run) return undefined;
    if (hasEnded(run.status)) return { before: run.status };
    await endRun(trx, run_id, { status: 'cancelled', error: null });
    await appendEvents(trx, run_id, [{ key: 'cancelled', type: 'run.cancelled', data: doing }]);
    if (run.queued_at !== null) {
      if (run.webhook_url) await insertEndDelivery(trx, { ...run, status: 'cancelled' });
      return { before: run.status };
    }
    return { before: run.status, entry: await insertOutboxEntry(trx, { run_id }, { kind: 'cancel' }) };
  });
}

/** How a run ends whose workflow cannot say so. */
export type LostEnd =
  | { status: 'completed'; final_output_id: string | null }
  | { status: 'failed'; error: string }
  | { status: 'cancelled' };

/**
 * Ends a run whose workflow is gone without having said so, with the webhook that it can no longer send. Nothing happens
 * when the run had ended, when there is none of this id, or when Temporal has yet to be told something of it: another try may
 * begin.
 */
export async function endLostRun(db: Db, run_id: string, end: LostEnd): Promise<void> {
  await db.transaction().execute((trx) => endUnlessUntold(trx, run_id, end));
}

/** Fails a run, as above, whose start Temporal will never take. The entry goes with it. */
export async function failUnstarted(db: Db, { outbox_id, run_id }: OutboxEntry, error: string): Promise<void> {
  await db.transaction().execute(async (trx) => {
    await trx.deleteFrom('outbox').where('outbox_id', '=', outbox_id).execute();
    await endUnlessUntold(trx, run_id!, { status: 'failed', error });
  });
}

async function endUnlessUntold(trx: Transaction<Database>, run_id: string, end: LostEnd): Promise<void> {
  const run = await trx
    .selectFrom('runs')
    .select(['status', 'attempt', 'webhook_url'])
    .where('run_id', '=', run_id)
    .where(sql<boolean>`not ${isUntold}`)
    .forUpdate()
    .executeTakeFirst();
  if (!run || hasEnded(run.status)) return;
  const { status } = end;
  const error = status === 'failed' ? end.error : null;
  const which = run.attempt > 1 ? { attempt: run.attempt } : {};
  await endRun(trx, run_id, { status, error });
  if (status === 'completed') {
    const { final_output_id } = end;
    await trx.updateTable('runs').set({ phase: 'done', final_output_id }).where('run_id', '=', run_id).execute();
  }
  await appendEvents(trx, run_id, [eventOf(`run.${status}`, { ...(error !== null && { error }), ...which })]);
  if (run.webhook_url) await insertEndDelivery(trx, { run_id, status, attempt: run.attempt });
}

/** The newest of the runs that were cancelled more than ten seconds ago, and less than ten minutes: up to 200. */
export async function listCancelled(db: Db): Promise<string[]> {
  const rows = await db
    .selectFrom('runs')
    .select('run_id')
    .where('status', '=', 'cancelled')
    .where('completed_at', '>', sql<string>`now() - interval '10 minutes'`)
    .where('completed_at', '<', sql<string>`now() - interval '10 seconds'`)
    .orderBy('completed_at', 'desc')
    .limit(200)
    .execute();
  return rows.map((row) => row.run_id);
}

/** Has Temporal told once more that a run was cancelled. */
export function cancelAgain(db: Db, run_id: string): Promise<OutboxEntry | undefined> {
  return db.transaction().execute((trx) => insertOutboxEntry(trx, { run_id }, { kind: 'cancel' }));
}

/** Temporal has yet to be told something of the run in the query. */
const isUntold = sql<boolean>`exists (select from outbox where outbox.run_id = runs.run_id)`;

/** Those of these runs that have begun, as Temporal has been told, and have not ended for their readers. */
export async function listUnfinished(db: Db, run_ids: string[]): Promise<string[]> {
  if (run_ids.length === 0) return [];
  const rows = await db
    .selectFrom('runs')
    .select('run_id')
    .where('run_id', 'in', run_ids)
    .where('status', 'in', ['pending', 'running', 'waiting_human'])
    // One that failed, and is to be begun again, is what it was in Temporal until that is told.
    .where('queued_at', 'is', null)
    .where(sql<boolean>`not ${isUntold}`)
    .execute();
  return rows.map((row) => row.run_id);
}

/** Ends a run with all that is open in it. The caller holds the lock on it. */
export async function endRun(
  trx: Transaction<Database>,
  run_id: string,
  end: { status: LostEnd['status']; error: string | null },
): Promise<void> {
  const completed_at = sql<string>`now()`;
  await trx
    .updateTable('runs')
    .set({ ...end, completed_at, queued_at: null })
    .where('run_id', '=', run_id)
    .execute();
  await trx
    .updateTable('tasks')
    .set({ status: end.status === 'cancelled' ? 'cancelled' : 'skipped', completed_at })
    .where('run_id', '=', run_id)
    .where('status', 'in', ['pending', 'running', 'waiting_human'])
    .execute();
  await trx
    .updateTable('gates')
    .set({ status: 'closed' })
    .where('run_id', '=', run_id)
    .where('status', '=', 'open')
    .execute();
}
