import { sql, type RawBuilder, type Transaction } from 'kysely';
import type { Progress, RunEvent, RunStatus } from '../workflows/contract/states.ts';
import type { Db } from './index.ts';
import type { Database } from './schema.ts';

/**
 * Writes what the workflow changed: run, tasks, gates and events, at once. Idempotent and monotone: an older version
 * never overwrites a newer one, an event is written once, and nothing changes in a run that is finished here.
 * Returns the status that stands.
 */
export function saveProgress(db: Db, run_id: string, progress: Progress): Promise<{ status: RunStatus }> {
  return db.selectNoFrom(savedStatus(run_id, progress).as('status')).executeTakeFirstOrThrow();
}

/** Dated when it is written, and only while the run is at the version that it `follows`: no status stands else. */
type Following = Omit<Progress, 'at'> & { follows: number };

/** The same as part of a statement that does more: its value is the status that stands. */
export function savedStatus(run_id: string, progress: Progress): RawBuilder<RunStatus>;
export function savedStatus(run_id: string, progress: Following): RawBuilder<RunStatus | null>;
export function savedStatus(run_id: string, progress: Progress | Following): RawBuilder<RunStatus | null> {
  return sql<RunStatus>`save_progress(${run_id}, ${JSON.stringify(progress)}::jsonb)`;
}

/**
 * Completes a run of which `latest` was written last. Returns the status that stands; null, and nothing is written, when
 * the run has gone on since.
 */
export async function completeRun(
  db: Db,
  run_id: string,
  latest: Progress,
  final_output_id: string,
): Promise<RunStatus | null> {
  const completion: Following = {
    version: latest.version + 1,
    follows: latest.version,
    run: { ...latest.run, status: 'completed', phase: 'done', final_output_id },
    tasks: [],
    gates: [],
    events: [{ key: 'run.completed', type: 'run.completed', data: {} }],
  };
  const { status } = await db.selectNoFrom(savedStatus(run_id, completion).as('status')).executeTakeFirstOrThrow();
  return status;
}

/** Locks the run's row, which orders all that is written about a run. Throws when there is no such run. */
export function lockRun(trx: Transaction<Database>, run_id: string) {
  return trx.selectFrom('runs').select('status').where('run_id', '=', run_id).forUpdate().executeTakeFirstOrThrow();
}

/** Appends events, numbered without a gap. The caller holds the lock on the run, so numbers become visible in order. */
export async function appendEvents(trx: Transaction<Database>, run_id: string, events: RunEvent[]): Promise<void> {
  await sql`select append_events(${run_id}, ${JSON.stringify(events)}::jsonb)`.execute(trx);
}
