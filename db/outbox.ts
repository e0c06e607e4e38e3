import { sql, type Transaction } from 'kysely';
import type { Db } from './index.ts';
import type { Database, OutboxMessage } from './schema.ts';

/** `run_id` is null of what is of an account alone. `created_at` is by the clock of PostgreSQL. */
export type OutboxEntry = {
  outbox_id: string;
  run_id: string | null;
  message: OutboxMessage;
  attempts: number;
  created_at: string;
};

/** Whose an entry is. Those of one run are told in their order. */
export type EntryOwner = { run_id: string } | { run_id: null; account_id: string };

const claimedUntil = sql<string>`now() + interval '10 seconds'`;
export const outboxColumns = ['outbox_id', 'run_id', 'message', 'attempts', 'created_at'] as const;

/** When a new entry is due: at once for the sweep when an older one of the run must go first, else when the claim ends. */
export function nextAttempt(run_id: string | null) {
  const older = sql`select from outbox as older where older.run_id = ${run_id}`;
  return sql<string>`case when exists (${older}) then now() else ${claimedUntil} end`;
}

/** The first entry of a run, claimed for its writer, who delivers it at once. */
export function claimedEntry(run_id: string, message: OutboxMessage) {
  return { run_id, message: JSON.stringify(message), next_attempt_at: claimedUntil };
}

/** An entry whose writer delivers nothing: due at once, for the sweep. */
export function dueEntry(run_id: string, message: OutboxMessage) {
  return { run_id, message: JSON.stringify(message), next_attempt_at: sql<string>`now()` };
}

/**
 * Commits, with the change itself, what Temporal must be told of it. The entry is claimed for its writer, who delivers
 * it at once; undefined when an older one of the run must go first, which the sweep takes care of.
 */
export async function insertOutboxEntry(
  trx: Transaction<Database>,
  owner: EntryOwner,
  message: OutboxMessage,
): Promise<OutboxEntry | undefined> {
  const { waits, ...entry } = await trx
    .insertInto('outbox')
    .values({ ...owner, message: JSON.stringify(message), next_attempt_at: nextAttempt(owner.run_id) })
    .returning([...outboxColumns, sql<boolean>`next_attempt_at <= now()`.as('waits')])
    .executeTakeFirstOrThrow();
  return waits ? undefined : entry;
}

/**
 * Claims up to `limit` entries that are due: each run's oldest only, so that Temporal hears of a run in order.
 * A claim lasts ten seconds; the entry of a process that dies meanwhile becomes due again.
 */
export function claimOutboxEntries(db: Db, limit: number): Promise<OutboxEntry[]> {
  const due = sql<string>`
    select outbox_id from outbox
    where next_attempt_at <= now()
      and not exists (select from outbox as older where older.run_id = outbox.run_id and older.outbox_id < outbox.outbox_id)
    order by outbox_id limit ${limit}
    for update skip locked`;
  return db
    .updateTable('outbox')
    .set({ next_attempt_at: claimedUntil, attempts: sql`attempts + 1` })
    .where(sql<boolean>`outbox_id in (${due})`)
    .returning(outboxColumns)
    .execute();
}

export async function deleteOutboxEntry(db: Db, outbox_id: string): Promise<void> {
  await db.deleteFrom('outbox').where('outbox_id', '=', outbox_id).execute();
}

/** Puts an entry off. Rises with the attempts, from half a second to fifteen seconds. */
export async function postponeOutboxEntry(db: Db, { outbox_id, attempts }: OutboxEntry): Promise<void> {
  const seconds = Math.min(0.5 * 2 ** attempts, 15);
  await db
    .updateTable('outbox')
    .set({ next_attempt_at: sql`now() + make_interval(secs => ${seconds})` })
    .where('outbox_id', '=', outbox_id)
    .execute();
}
