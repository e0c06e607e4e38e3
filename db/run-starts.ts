import { sql, type Kysely, type Transaction } from 'kysely';
import type { Db } from './index.ts';
import { accountWithRoom, asLimitReached } from './limits.ts';
import { claimedEntry, outboxColumns, type OutboxEntry } from './outbox.ts';
import { startColumns, type StartTime } from './run-queue.ts';
import type { Doing } from './runs.ts';
import type { Database, NewAgentCall, NewRun } from './schema.ts';

/** How runs are accepted, within what their account may have. */

export type RunQuota = {
  /** Runs in a calendar month (UTC); 0 is no limit. */
  monthly: number;
  /** Runs on the operator's models in all; undefined when they are not limited, or this run does not use them. */
  trial?: number;
  /** Runs that have not ended, at once. */
  unfinished: number;
  /** Runs that have begun and not ended, at once: more wait. Undefined when they are not limited. */
  active?: number;
};

/** Without an `entry` it waits in the queue of its account, or was accepted before. */
type Acceptance = { refused: 'trial' | 'monthly' } | { refused?: undefined; entry: OutboxEntry | undefined };

/** The request that begins a run, when it has an `Idempotency-Key`. `isRetry`: its first try died without an answer. */
type KeyedRequest = { idempotency_key: string; isRetry: boolean };

/** What a rerun does again, and the names of what it was given in place of what was there. */
export type Redoing = { from_task: string; edited: string[] };

/** A run as it is accepted. `redoing`: of a rerun. `agent_version`: of the run of an agent. `call`: what it was called as. */
type AcceptedRun = NewRun &
  Doing & { start?: StartTime; redoing?: Redoing; agent_version?: string; call?: NewAgentCall };

/**
 * Accepts a run: its row, its first event and the outbox entry that starts it; one that is to begin later, or where places
 * are limited, has no entry yet, and waits in the queue of its account (`db/run-queue.ts`). Where there is a quota, in a transaction
 * that holds the account's row, so that many at once take exactly the quota. A retry finds the run that its first try
 * accepted, and its key knows the run. `insertMore` is what comes with the run, all or nothing. Throws `LimitReached` when
 * the account has as many unfinished runs as it may have.
 */
export function insertRun(
  db: Db,
  run: AcceptedRun,
  quota: RunQuota,
  keyed?: KeyedRequest,
  insertMore?: (trx: Transaction<Database>) => Promise<void>,
): Promise<Acceptance> {
  const isCounted = quota.monthly > 0 || quota.trial !== undefined;
  const accepted: Promise<Acceptance> =
    !keyed?.isRetry && !isCounted && !insertMore
      ? acceptRun(db, run, quota, keyed)
      : db.transaction().execute(async (trx) => {
          if (keyed?.isRetry && (await hasRun(trx, run.account_id, run.run_id))) return { entry: undefined };
          const refused = isCounted ? await takeQuota(trx, run.account_id, quota) : undefined;
          if (refused) return { refused };
          const { entry } = await acceptRun(trx, run, quota, keyed);
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

/** The run, what it was called as, its first event and the entry that starts it, unless it waits, in one statement. */
async function acceptRun(
  db: Kysely<Database>,
  { by, note, start, redoing, agent_version, call, ...run }: AcceptedRun,
  { unfinished, active }: RunQuota,
  keyed?: KeyedRequest,
): Promise<{ entry: OutboxEntry | undefined }> {
  const { run_id, account_id, agent_id, forked_from } = run;
  const waits = start !== undefined || active !== undefined;
  const times = startColumns(start ?? {});
  const doing = JSON.stringify({
    by,
    note,
    ...(agent_version && { agent_id, version: agent_version }),
    ...(redoing && { forked_from, ...redoing }),
  });
  const data = start ? sql<string>`${doing}::jsonb || jsonb_build_object('start_at', iso(${times.start_at}))` : doing;
  const created = { run_id, seq: 1, event_key: 'created', type: 'run.created', data };
  const accepting = db
    .with('run', (cte) =>
      cte
        .insertInto('runs')
        .values({ ...run, ...(waits && times), account_id: accountWithRoom(account_id, unfinished), event_seq: 1 }),
    )
    .with('event', (cte) => cte.insertInto('run_events').values(created))
    .with('call', (cte) => (call ? cte.insertInto('agent_calls').values(call) : cte.selectNoFrom(sql`null`.as('none'))))
    .with('key', (cte) =>
      cte
        .updateTable('idempotency_keys')
        .set({ run_id })
        .where('account_id', '=', account_id)
        .where('idempotency_key', '=', sql<string>`${keyed?.idempotency_key ?? null}`),
    );
  if (waits) {
    await accepting.selectNoFrom(sql`true`.as('waits')).execute();
    return { entry: undefined };
  }
  const entry = await accepting
    .insertInto('outbox')
    .values(claimedEntry(run_id, { kind: 'start' }))
    .returning(outboxColumns)
    .executeTakeFirstOrThrow();
  return { entry };
}

/** Whether this account has a run of this id. */
export async function hasRun(db: Db, account_id: string, run_id: string): Promise<boolean> {
  const own = db.selectFrom('runs').select('run_id').where('run_id', '=', run_id).where('account_id', '=', account_id);
  return Boolean(await own.executeTakeFirst());
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
    const month = sql`date_trunc('month', now() at time zone 'UTC')`;
    const { rows } = await sql<{ count: number }>`
      select (select count(*) from runs
              where account_id = ${account_id} and created_at >= ${month} at time zone 'UTC' and mode = 'live')
        + coalesce((select runs from purged_run_counts where account_id = ${account_id} and month = ${month}), 0) as count
    `.execute(trx);
    if (rows[0]!.count >= quota.monthly) return 'monthly';
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
