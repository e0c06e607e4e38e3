import { sql, type Transaction } from 'kysely';
import type { RunStatus } from '../workflows/contract/states.ts';
import { takeBackGrants } from './budget.ts';
import { listUndone } from './goal-runs.ts';
import type { Db } from './index.ts';
import { accountWithRoom, asLimitReached } from './limits.ts';
import { insertOutboxEntry, type OutboxEntry } from './outbox.ts';
import { appendEvents } from './progress.ts';
import { findEventData } from './run-events.ts';
import { takeQuota, type RunQuota } from './run-starts.ts';
import type { Doing } from './runs.ts';
import { tellChange, type TermsChange } from './run-changes.ts';
import type { Database, Run } from './schema.ts';

/**
 * The number of the try, and `of` which run it is. Refused: it is in another status, or its account's
 * quota is used up.
 */
export type Retried =
  | { attempt: number; of: Run; entry?: OutboxEntry | undefined }
  | { refused: 'trial' | 'monthly' }
  | { before: RunStatus };

/** A workflow task that was lost with its worker is made again, and writes anew that the try before has failed. */
const versionsPerTry = 1_000_000;

/**
 * Begins a failed run anew, where it stopped, once for each request: row, event, and the outbox entry that starts its
 * workflow. What is in `change` is otherwise from then on; `check` may refuse it by an error. Where places are limited it has no
 * entry yet, and waits in the queue of its account. Undefined when this account has no such run; only one that has failed is begun
 * again, and only within the quota of one on its provider. Throws `LimitReached` when the account has as many unfinished runs as
 * it may have.
 */
export function retryRun(
  db: Db,
  account_id: string,
  { run_id, request_id, change, ...doing }: Doing & { run_id: string; request_id: string; change: TermsChange },
  check: (run: Run, trx: Db) => Promise<void>,
  quotaOf: (run: Run) => RunQuota,
): Promise<Retried | undefined> {
  return db.transaction().execute(async (trx) => {
    // Not `lockOwnRun`: a rerun holds the account and then a share of this row, and this goes the other way.
    const run = await trx
      .selectFrom('runs')
      .selectAll()
      .where('run_id', '=', run_id)
      .where('account_id', '=', account_id)
      .forNoKeyUpdate()
      .executeTakeFirst();
    if (!run) return undefined;
    const key = `retried/${request_id}`;
    const begun = await findEventData(trx, run_id, key);
    if (begun) return { attempt: Number(begun.attempt), of: run };
    if (run.status !== 'failed') return { before: run.status };
    await check(run, trx);
    const quota = quotaOf(run);
    const refused = await takeQuota(trx, account_id, quota);
    if (refused) return { refused };
    await requireRoom(trx, account_id, quota.unfinished);

    const attempt = run.attempt + 1;
    const again = {
      status: 'pending' as const,
      error: null,
      error_code: null,
      completed_at: null,
      retrying: '{}',
      attempt,
    };
    const waits = quota.active !== undefined;
    const { version } = await trx
      .updateTable('runs')
      .set({ ...change, ...again, version: sql`version + ${versionsPerTry}` })
      .$if(waits, (update) => update.set({ queued_at: sql<string>`now()` }))
      .where('run_id', '=', run_id)
      .returning('version')
      .executeTakeFirstOrThrow();
    // It is no more bound by the deadline of its call, and neither is what it calls.
    await trx.updateTable('agent_calls').set({ deadline_at: null }).where('run_id', '=', run_id).execute();
    if (run.kind !== 'orchestration') await takeUpTasks(trx, run, version);
    await takeBackGrants(trx, run_id, change);
    const data = { attempt, ...(Object.keys(change).length > 0 && tellChange(run, change)), ...doing };
    await appendEvents(trx, run_id, [{ key, type: 'run.retried', data }]);
    const entry = waits ? undefined : await insertOutboxEntry(trx, { run_id }, { kind: 'start' });
    return { attempt, of: run, entry };
  });
}

/** Those that are to be done are so for readers too, whatever the try before has yet to say of them. */
async function takeUpTasks(trx: Transaction<Database>, run: Run, version: number): Promise<void> {
  const undone = await listUndone(trx, run);
  if (undone.length === 0) return;
  await trx
    .updateTable('tasks')
    .set({ status: 'pending', error: null, completed_at: null, version })
    .where('run_id', '=', run.run_id)
    .where('id', 'in', undone)
    .execute();
}

async function requireRoom(trx: Transaction<Database>, account_id: string, most: number): Promise<void> {
  await sql`select ${accountWithRoom(account_id, most)}`.execute(trx).catch((error: unknown) => {
    throw asLimitReached(error, most);
  });
}
