import { sql, type RawBuilder } from 'kysely';
import type { Db } from './index.ts';
import { queuedAccounts } from './queued-accounts.ts';
import type { OutboxEntry } from './outbox.ts';

/**
 * Runs that begin later wait here, in Postgres: until their `start_at`, and until their account has a place for them. Of one
 * that waits, Temporal knows nothing. `queued_at` is when it joined the queue of its account, or will; null: it has begun.
 */

/** When a run is to begin: at a time, or so many milliseconds after it is accepted; at once when neither is given. */
export type StartTime = { start_at?: string; start_in_ms?: number };

/** What is stored of it, by the clock of Postgres. A time that is over is now. */
export function startColumns({ start_at, start_in_ms }: StartTime): {
  start_at: RawBuilder<string> | null;
  queued_at: RawBuilder<string>;
} {
  const now = sql<string>`now()`;
  if (start_at !== undefined) {
    const at = sql<string>`${start_at}::timestamptz(3)`;
    return { start_at: at, queued_at: sql<string>`greatest(now(), ${at})` };
  }
  if (start_in_ms === undefined) return { start_at: null, queued_at: now };
  const at = sql<string>`(now() + make_interval(secs => ${start_in_ms / 1_000}))::timestamptz(3)`;
  return { start_at: at, queued_at: at };
}

/** What a run waits for before it begins: its time, a place in its account, or the release of one that was held. */
export const pendingFor = ['start_at', 'place', 'release'] as const;
export type PendingFor = (typeof pendingFor)[number];

export type WaitOfRun = {
  pending_for: PendingFor | null;
  queue_position: number | null;
  /** Null when it does not wait for its `start_at`. */
  starts_in_ms: number | null;
};

export const startsInMs = sql<number | null>`
  case when queued_at > now() then extract(epoch from queued_at - now())::float8 * 1000 end`.as('starts_in_ms');

/** The same of the runs in a query. */
export const waitOfRun = [
  sql<PendingFor | null>`pending_for(runs)`.as('pending_for'),
  sql<number | null>`queue_position(runs)`.as('queue_position'),
  startsInMs,
];

/** So many runs of an account are begun at once; `begin_runs` in `db/functions` has the number too. */
export const mostBegun = 50;

/**
 * Begins the runs that are due of the account of this run, those first that joined its queue first, as long as fewer than
 * `most` of its runs have begun and not ended (null: all that are due), and `mostBegun` at once. Returns what Temporal is to be
 * told of them, claimed for the caller. Each run begins once, whoever calls this at the same time. Those of a suspended account
 * wait, and so does a run that is held; it keeps its turn.
 */
export function beginRunsBeside(db: Db, run_id: string, most: number | null): Promise<OutboxEntry[]> {
  const account_id = sql`(select account_id from runs where run_id = ${run_id})`;
  return begin(db, account_id, most);
}

/** The same of an account. */
export function beginRuns(db: Db, account_id: string, most: number | null): Promise<OutboxEntry[]> {
  return begin(db, sql`${account_id}`, most);
}

async function begin(db: Db, account_id: RawBuilder<unknown>, most: number | null): Promise<OutboxEntry[]> {
  const { rows } =
    await sql<OutboxEntry>`select *, now() as created_at from begin_runs(${account_id}, ${most}::integer)`.execute(db);
  return rows;
}

/** Up to `limit` accounts that have a run which can begin now, in any order. */
export async function listAccountsToBegin(db: Db, most: number | null, limit: number): Promise<string[]> {
  const { rows } = await sql<{ account_id: string }>`
    with recursive ${queuedAccounts('runs', sql`queued_at is not null`)}
    select account_id from queued join accounts using (account_id)
    where suspended_at is null
      and exists (
        select from runs as due
        where due.account_id = queued.account_id and due.queued_at <= now() and due.held_at is null
          and due.status = 'pending')
      and (${most}::integer is null or ${most}::integer > count_active(queued.account_id, ${most}::integer))
    order by random() limit ${limit}`.execute(db);
  return rows.map(({ account_id }) => account_id);
}
