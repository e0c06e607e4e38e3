import { sql, type Transaction } from 'kysely';
import { hasEnded, type RunStatus } from '../workflows/contract/states.ts';
import type { Db } from './index.ts';
import { insertOutboxEntry, type OutboxEntry } from './outbox.ts';
import { appendEvents } from './progress.ts';
import type { PendingFor } from './run-queue.ts';
import { lockOwnRun, type Doing } from './runs.ts';
import type { Database } from './schema.ts';
import { mostSteerings } from './steering.ts';

/** `held_at` as it stands after it; `before` is the status of the run. */
export type Held = {
  before: RunStatus;
  held_at: string | null;
  refused?: 'finished' | 'too_often';
  entry?: OutboxEntry | undefined;
};

/** Since when a run is held; null when it is not, undefined when there is none of this id. */
export async function findHeldAt(db: Db, run_id: string): Promise<string | null | undefined> {
  const run = db.selectFrom('runs').select('held_at').where('run_id', '=', run_id);
  return (await run.executeTakeFirst())?.held_at;
}

export type Delay = { held_at: string | null; pending_for: PendingFor | null; start_at: string | null };

/**
 * Since when a run is held, and what it waits for before it begins; nothing when its account, which may have `mostActive` runs
 * that have begun, has a place for it. Undefined when there is none of this id.
 */
export function findDelay(db: Db, run_id: string, mostActive: number | undefined): Promise<Delay | undefined> {
  const most = sql`${mostActive ?? null}::integer`;
  const pending_for = sql<PendingFor | null>`
    case when pending_for(runs) <> 'place' or queue_position(runs) + count_active(account_id, ${most}) > ${most}
      then pending_for(runs) end`;
  return db
    .selectFrom('runs')
    .select(['held_at', 'start_at', pending_for.as('pending_for')])
    .where('run_id', '=', run_id)
    .executeTakeFirst();
}

/**
 * Holds a run, or lets it go on, with the event that says so and, when it has begun, the outbox entry that tells its workflow.
 * One that is so already stays so, and so does one that is finished; but one that has failed is released, for it may be tried
 * again. Undefined when this account has none of this id.
 */
export function setHeld(
  db: Db,
  account_id: string,
  run_id: string,
  { isHeld, ...doing }: Doing & { isHeld: boolean },
): Promise<Held | undefined> {
  return db.transaction().execute(async (trx) => {
    const run = await lockOwnRun(trx, account_id, run_id);
    if (!run) return undefined;
    const { status: before, held_at, queued_at } = run;
    const isSo = (held_at !== null) === isHeld;
    const isReleasedFailed = before === 'failed' && !isHeld && !isSo;
    if (hasEnded(before) && !isReleasedFailed) return { before, held_at, refused: 'finished' };
    if (isSo) return { before, held_at };
    const type = isHeld ? 'run.held' : 'run.released';
    if (isHeld && (await countHolds(trx, run_id)) >= mostSteerings) return { before, held_at, refused: 'too_often' };
    const changed = await trx
      .updateTable('runs')
      .set({ held_at: isHeld ? sql<string>`now()` : null })
      .where('run_id', '=', run_id)
      .returning('held_at')
      .executeTakeFirstOrThrow();
    // It may be held again and again.
    await appendEvents(trx, run_id, [{ key: `${type}/${run.event_seq + 1}`, type, data: doing }]);
    if (isReleasedFailed || queued_at !== null) return { before, ...changed };
    const entry = await insertOutboxEntry(trx, { run_id }, { kind: isHeld ? 'hold' : 'release' });
    return { before, ...changed, entry };
  });
}

async function countHolds(trx: Transaction<Database>, run_id: string): Promise<number> {
  const { held } = await trx
    .selectFrom('run_events')
    .select((eb) => eb.fn.countAll<number>().as('held'))
    .where('run_id', '=', run_id)
    .where('type', '=', 'run.held')
    .executeTakeFirstOrThrow();
  return held;
}
