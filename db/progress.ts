import { sql, type RawBuilder, type Transaction } from 'kysely';
import type { FollowingProgress } from '../workflows/contract/completion.ts';
import type { RunEvent } from '../workflows/contract/events.ts';
import type { Progress, RunStatus } from '../workflows/contract/states.ts';
import type { Db } from './index.ts';
import type { Database } from './schema.ts';

/** Progress with the execution of the workflow that made it: that of a run that was reset is another. None of 0.1.0. */
export type Signed<P extends Progress | FollowingProgress = Progress> = P & { writer?: string };

/**
 * Writes what the workflow changed: run, tasks, gates and events, at once. Idempotent and monotone: an older version
 * never overwrites a newer one, an event is written once, and nothing changes in a run that is finished here. What a
 * newer execution of the workflow writes is newer, whatever its version. Returns the status of the run as the workflow
 * has it, or the one with which it has ended here, `cancelled` of one that is gone; null, and nothing is written, when the run is not at the version that
 * must be followed.
 */
export function saveProgress(db: Db, run_id: string, progress: Signed): Promise<{ status: RunStatus }>;
export function saveProgress(
  db: Db,
  run_id: string,
  progress: Signed<FollowingProgress>,
): Promise<{ status: RunStatus | null }>;
export function saveProgress(db: Db, run_id: string, progress: Signed<Progress | FollowingProgress>) {
  return db.selectNoFrom(savedStatus(run_id, progress).as('status')).executeTakeFirstOrThrow();
}

/** The same as part of a statement that does more: its value is what `saveProgress` returns. */
export function savedStatus(run_id: string, progress: Signed): RawBuilder<RunStatus>;
export function savedStatus(
  run_id: string,
  progress: Signed<Progress | FollowingProgress>,
): RawBuilder<RunStatus | null>;
export function savedStatus(
  run_id: string,
  progress: Signed<Progress | FollowingProgress>,
): RawBuilder<RunStatus | null> {
  return sql<RunStatus>`save_progress(${run_id}, ${JSON.stringify(progress)}::jsonb)`;
}

/** The text that a run was completed with; null of one that is not, or has gone. */
export async function findFinalOutputId(db: Db, run_id: string): Promise<string | null> {
  const query = db.selectFrom('runs').select('final_output_id').where('run_id', '=', run_id);
  return (await query.executeTakeFirst())?.final_output_id ?? null;
}

/** Locks the run's row, which orders all that is written about a run. Throws when there is no such run. */
export function lockRun(trx: Transaction<Database>, run_id: string) {
  return trx.selectFrom('runs').select('status').where('run_id', '=', run_id).forUpdate().executeTakeFirstOrThrow();
}

/** Appends events, numbered without a gap. The caller holds the lock on the run, so numbers become visible in order. */
export async function appendEvents(trx: Transaction<Database>, run_id: string, events: RunEvent[]): Promise<void> {
  await sql`select append_events(${run_id}, ${JSON.stringify(events)}::jsonb)`.execute(trx);
}
