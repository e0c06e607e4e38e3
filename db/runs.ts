import { sql, type Kysely, type Transaction } from 'kysely';
import type { RunStatus } from '../workflows/contract/states.ts';
import type { Db } from './index.ts';
import { accountWithRoom, asLimitReached } from './limits.ts';
import { claimedEntry, insertOutboxEntry, outboxColumns, type OutboxEntry } from './outbox.ts';
import { appendEvents } from './progress.ts';
import type { Database, NewRun, Run } from './schema.ts';

/** The run's row, for those who work on it. Throws when there is none. */
export function getRun(db: Db, run_id: string): Promise<Run> {
  return db.selectFrom('runs').selectAll().where('run_id', '=', run_id).executeTakeFirstOrThrow();
}

/** Whose run it is. Throws when there is no such run. */
export async function getAccountOf(db: Db, run_id: string): Promise<string> {
  const run = db.selectFrom('runs').select('account_id').where('run_id', '=', run_id);
  return (await run.executeTakeFirstOrThrow()).account_id;
}

export type RunQuota = {
  /** Runs in a calendar month (UTC); 0 is no limit. */
  monthly: number;
  /** Runs on the operator's models in all; undefined when they are not limited, or this run does not use them. */
  trial?: number;
  /** Runs that have not ended, at once. */
  unfinished: number;
};

type Acceptance = { refused: 'trial' | 'monthly' } | { refused?: undefined; entry: OutboxEntry | undefined };

/**
 * Accepts a run: its row, its first event and the outbox entry that starts it. Where there is a quota, in a transaction
 * that holds the account's row, so that many at once take exactly the quota. A retry finds the run that its first try
 * accepted. `insertMore` is what comes with the run, all or nothing. Throws `LimitReached` when the account has as many
 * unfinished runs as it may have.
 */
export function insertRun(
  db: Db,
  run: NewRun,
  quota: RunQuota,
  isRetry = false,
  insertMore?: (trx: Transaction<Database>) => Promise<void>,
): Promise<Acceptance> {
  const accepted: Promise<Acceptance> =
    !isRetry && !quota.monthly && quota.trial === undefined && !insertMore
      ? acceptRun(db, run, quota)
      : db.transaction().execute(async (trx) => {
          if (isRetry && (await hasRun(trx, run.run_id))) return { entry: undefined };
          const refused = await takeQuota(trx, run.account_id, quota);
          if (refused) return { refused };
          const { entry } = await acceptRun(trx, run, quota);
          await insertMore?.(trx);
          return { entry };
        });
  return accepted.catch((error: { code?: string; constraint?: string }) => {
    // The first try, given up long ago, reached a Postgres that was frozen or cut off in the same moment.
    if (error.code === uniqueViolation && error.constraint === 'runs_pkey') return { entry: undefined };
    throw asLimitReached(error, quota.unfinished);
  });
}

const uniqueViolation = '23505';

/** The run, its first event and the entry that starts it, in one statement. */
async function acceptRun(db: Kysely<Database>, run: NewRun, { unfinished }: RunQuota): Promise<{ entry: OutboxEntry }> {
  const { run_id } = run;
  const created = { run_id, seq: 1, event_key: 'created', type: 'run.created', data: '{}' };
  const entry = await db
    .with('run', (cte) =>
      cte.insertInto('runs').values({ ...run, account_id: accountWithRoom(run.account_id, unfinished), event_seq: 1 }),
    )
    .with('event', (cte) => cte.insertInto('run_events').values(created))
    .insertInto('outbox')
    .values(claimedEntry(run_id, { kind: 'start' }))
    .returning(outboxColumns)
    .executeTakeFirstOrThrow();
  return { entry };
}

async function hasRun(trx: Transaction<Database>, run_id: string): Promise<boolean> {
  return Boolean(await trx.selectFrom('runs').select('run_id').where('run_id', '=', run_id).executeTakeFirst());
}

/** Counts a run of the account, or says which quota is used up. Holds the account's row. */
export async function takeQuota(
  trx: Transaction<Database>,
  account_id: string,
  quota: RunQuota,
): Promise<'trial' | 'monthly' | undefined> {
  const account = await trx
    .selectFrom('accounts')
    .select('managed_runs_used')
    .where('account_id', '=', account_id)
    .forNoKeyUpdate()
    .executeTakeFirstOrThrow();
  if (quota.trial !== undefined && account.managed_runs_used >= quota.trial) return 'trial';
  if (quota.monthly) {
    const { count } = await trx
      .selectFrom('runs')
      .select(sql<number>`count(*)`.as('count'))
      .where('account_id', '=', account_id)
      .where('created_at', '>=', sql<string>`date_trunc('month', now() at time zone 'UTC') at time zone 'UTC'`)
      .executeTakeFirstOrThrow();
    if (count >= quota.monthly) return 'monthly';
  }
  if (quota.trial !== undefined) {
    await trx
      .updateTable('accounts')
      .set({ managed_runs_used: account.managed_runs_used + 1 })
      .where('account_id', '=', account_id)
      .execute();
  }
  return undefined;
}

/** Locks a run for a change by its account. Undefined when this account has none of this id. */
async function lockOwnRun(trx: Transaction<Database>, account_id: string, run_id: string) {
  return trx
    .selectFrom('runs')
    .select('status')
    .where('run_id', '=', run_id)
    .where('account_id', '=', account_id)
    .forUpdate()
    .executeTakeFirst();
}

/**
 * Cancels a run for every reader at once: run, open tasks and gates, event, and the outbox entry that tells its
 * workflow. Returns the status it had, or undefined when this account has none of this id; a finished run stays.
 */
export function cancelRun(
  db: Db,
  account_id: string,
  run_id: string,
): Promise<{ before: RunStatus; entry?: OutboxEntry } | undefined> {
  return db.transaction().execute(async (trx) => {
    const run = await lockOwnRun(trx, account_id, run_id);
    if (!run) return undefined;
    if (isFinished(run.status)) return { before: run.status };
    await endRun(trx, run_id, { status: 'cancelled', error: null });
    await appendEvents(trx, run_id, [{ key: 'cancelled', type: 'run.cancelled', data: {} }]);
    return { before: run.status, entry: await insertOutboxEntry(trx, { run_id }, { kind: 'cancel' }) };
  });
}

/**
 * Fails a run whose workflow is gone without having said so, with the webhook that it can no longer send. Returns
 * undefined when the run had ended, or there is none of this id.
 */
export function failLostRun(db: Db, run_id: string): Promise<OutboxEntry | undefined> {
  return db.transaction().execute(async (trx) => {
    const run = await trx
      .selectFrom('runs')
      .select('status')
      .where('run_id', '=', run_id)
      .forUpdate()
      .executeTakeFirst();
    if (!run || isFinished(run.status)) return undefined;
    const error = 'The workflow of this run was terminated in Temporal.';
    await endRun(trx, run_id, { status: 'failed', error });
    await appendEvents(trx, run_id, [{ key: 'run.failed', type: 'run.failed', data: { error } }]);
    return insertOutboxEntry(trx, { run_id }, { kind: 'webhook', event: 'failed' });
  });
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

/** Those of these runs that have not ended for their readers. */
export async function listUnfinished(db: Db, run_ids: string[]): Promise<string[]> {
  if (run_ids.length === 0) return [];
  const rows = await db
    .selectFrom('runs')
    .select('run_id')
    .where('run_id', 'in', run_ids)
    .where('status', 'in', ['pending', 'running', 'waiting_human'])
    .execute();
  return rows.map((row) => row.run_id);
}

/** True when a run has ended for its readers; its workflow may still have to hear of it. */
export function isFinished(status: RunStatus): boolean {
  return status === 'completed' || status === 'failed' || status === 'cancelled';
}

/** Ends a run with all that is open in it. The caller holds the lock on it. */
export async function endRun(
  trx: Transaction<Database>,
  run_id: string,
  end: { status: 'cancelled' | 'failed'; error: string | null },
): Promise<void> {
  const completed_at = sql<string>`now()`;
  await trx
    .updateTable('runs')
    .set({ ...end, completed_at })
    .where('run_id', '=', run_id)
    .execute();
  await trx
    .updateTable('tasks')
    .set({ status: end.status === 'failed' ? 'skipped' : 'cancelled', completed_at })
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
