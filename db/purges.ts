import { sql, type Transaction } from 'kysely';
import { hasEnded, type RunStatus } from '../workflows/contract/states.ts';
import type { Db } from './index.ts';
import { dueEntry } from './outbox.ts';
import { endRun } from './run-ends.ts';
import { lockOwnRun } from './runs.ts';
import type { Database } from './schema.ts';

/**
 * How runs are forgotten. A run that is purged is nobody's at once, and what its row says is gone; what its month and its
 * account are counted by stays. Then it is emptied: all that it is made of is deleted. The empty row is left, so that whatever
 * its workflow does yet changes nothing, a webhook that is on its way arrives, and Temporal hears what was committed for it. It
 * goes when the run is over there.
 */

/**
 * Purges a run of this account that has ended. Returns the status that it had: one that has not ended stays. Undefined when
 * the account has none of this id.
 */
export function purgeRun(db: Db, account_id: string, run_id: string): Promise<RunStatus | undefined> {
  return db.transaction().execute(async (trx) => {
    const run = await lockOwnRun(trx, account_id, run_id);
    if (run && hasEnded(run.status)) await purgeLocked(trx, run_id);
    return run?.status;
  });
}

/** Purges up to `limit` runs that ended more than so many days ago, and returns how many; each by itself. */
export async function purgeOldRuns(db: Db, days: number, limit: number): Promise<number> {
  const isOld = sql<boolean>`completed_at < now() - make_interval(days => ${days}) and account_id is not null`;
  const old = await db.selectFrom('runs').select('run_id').where(isOld).orderBy('completed_at').limit(limit).execute();
  for (const { run_id } of old) {
    await db.transaction().execute(async (trx) => {
      // Another process is at it, or it was tried again meanwhile.
      const run = trx.selectFrom('runs').select('status').where('run_id', '=', run_id).where(isOld);
      const locked = await run.forUpdate().skipLocked().executeTakeFirst();
      if (locked && hasEnded(locked.status)) await purgeLocked(trx, run_id);
    });
  }
  return old.length;
}

/**
 * Ends and purges up to `limit` runs of an account that is deleted, and returns how many, and how many of them had not ended.
 */
export async function purgeRunsOf(
  db: Db,
  account_id: string,
  limit: number,
): Promise<{ purged: number; cancelled: number }> {
  const own = db.selectFrom('runs').select('run_id').where('account_id', '=', account_id).orderBy('created_at');
  const count = { purged: 0, cancelled: 0 };
  for (const { run_id } of await own.limit(limit).execute()) {
    await db.transaction().execute(async (trx) => {
      const run = await lockOwnRun(trx, account_id, run_id);
      if (!run) return;
      if (!hasEnded(run.status)) {
        await endRun(trx, run_id, { status: 'cancelled', error: null });
        await trx
          .insertInto('outbox')
          .values(dueEntry(run_id, { kind: 'cancel' }))
          .execute();
        count.cancelled += 1;
      }
      await purgeLocked(trx, run_id);
      count.purged += 1;
    });
    await emptyRun(db, run_id);
  }
  return count;
}

async function purgeLocked(trx: Transaction<Database>, run_id: string): Promise<void> {
  await sql`select purge_run(${run_id})`.execute(trx);
}

/** What a run is made of, and how many rows of it are deleted at once: texts are long. */
const contents = {
  gates: 5_000,
  tasks: 5_000,
  run_events: 5_000,
  tool_calls: 5_000,
  llm_calls: 5_000,
  broken_calls: 5_000,
  failed_tries: 5_000,
  run_files: 5_000,
  code_runs: 5_000,
  code_files: 5_000,
  texts: 100,
};

/** Deletes what a purged run is made of, and the webhooks of it that are not on their way. May be done by several at once. */
export async function emptyRun(db: Db, run_id: string): Promise<void> {
  for (const [table, most] of Object.entries(contents)) {
    const some = sql`select ctid from ${sql.table(table)} where run_id = ${run_id} limit ${most} for update skip locked`;
    const remove = sql`delete from ${sql.table(table)} where ctid = any(array(${some}))`;
    while (Number((await remove.execute(db)).numAffectedRows ?? 0n) === most);
  }
  await db.deleteFrom('run_search').where('run_id', '=', run_id).execute();
  await db.deleteFrom('webhook_deliveries').where('run_id', '=', run_id).where('status', '<>', 'pending').execute();
}

/** How long a run must have been over before its row goes: what Temporal lists is late. */
const overSeconds = 10;

export type PurgedRun = {
  run_id: string;
  /** Something of it may be under way: Temporal has not heard all that was committed for it, a call is in flight, or a webhook waits. */
  is_busy: boolean;
  /** Webhooks of it may be on their way. */
  may_send: boolean;
  /** Its workflow has had the time to end by itself. */
  is_late: boolean;
};

/**
 * Claims up to `limit` purged runs that are to be looked at. The next look is due later the longer ago a run was purged, from
 * a second to ten minutes.
 */
export async function claimPurgedRuns(db: Db, limit: number): Promise<PurgedRun[]> {
  const { rows } = await sql<PurgedRun>`
    update purged_runs
    set due_at = now() + least(greatest((now() - purged_at) / 2, interval '1 second'), interval '10 minutes')
    where run_id in (
      select run_id from purged_runs where due_at <= now() order by due_at limit ${limit} for update skip locked)
    returning run_id, ${isBusy} as is_busy, ${maySend} as may_send,
      purged_at < now() - make_interval(secs => ${overSeconds}) as is_late`.execute(db);
  return rows;
}

/** Of the purged run in the query. */
const isBusy = sql<boolean>`(
  exists (select from outbox where outbox.run_id = purged_runs.run_id)
  or exists (
    select from webhook_deliveries as queued
    where queued.run_id = purged_runs.run_id and queued.next_attempt_at is not null)
  or exists (select from budget_reservations as held where held.run_id = purged_runs.run_id and held.expires_at > now())
  or exists (select from managed_reservations as held where held.run_id = purged_runs.run_id and held.expires_at > now()))`;

const maySend = sql<boolean>`(
  exists (select from runs where runs.run_id = purged_runs.run_id and webhook_url is not null)
  or exists (select from webhook_deliveries as sent where sent.run_id = purged_runs.run_id and sent.status = 'pending'))`;

/** Notes that a run goes on in Temporal. */
export async function notePurgedRunGoesOn(db: Db, run_id: string): Promise<void> {
  await db.updateTable('purged_runs').set({ over_at: null }).where('run_id', '=', run_id).execute();
}

/**
 * Notes that a purged run is over in Temporal, and that it is to be looked at again soon; when that was noted a while ago, its
 * row is deleted, with all that may have come meanwhile.
 */
export async function notePurgedRunIsOver(db: Db, run_id: string): Promise<void> {
  const wasOver = sql<boolean>`over_at <= now() - make_interval(secs => ${overSeconds})`;
  const over = db
    .selectFrom('purged_runs')
    .select('run_id')
    .where('run_id', '=', run_id)
    .where(wasOver)
    .where(sql<boolean>`not ${isBusy}`);
  const { numDeletedRows } = await db.deleteFrom('runs').where('run_id', 'in', over).executeTakeFirst();
  if (numDeletedRows > 0n) return;
  const soon = sql<string>`now() + make_interval(secs => ${overSeconds})`;
  await db
    .updateTable('purged_runs')
    .set({ over_at: sql`coalesce(over_at, now())`, due_at: soon })
    .where('run_id', '=', run_id)
    .execute();
}
