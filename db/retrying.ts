import { sql } from 'kysely';
import type { RunEvent } from '../workflows/contract/events.ts';
import type { Db } from './index.ts';

/**
 * Tells the readers of a run that a call is tried again: with a warning, in place of the one that it had, and an event,
 * once for each key. Nothing is told of a run that has ended.
 */
export async function tellRetrying(
  db: Db,
  run_id: string,
  told: { call: string; warning: string; event: RunEvent },
): Promise<void> {
  const { call, warning, event } = told;
  await sql`select tell_retrying(${run_id}, ${call}, ${warning}, ${JSON.stringify([event])}::jsonb)`.execute(db);
}

/** Takes the warning of a call back, which is made or given up. */
export async function forgetRetrying(db: Db, run_id: string, call: string): Promise<void> {
  await sql`select tell_retrying(${run_id}, ${call}, null, '[]')`.execute(db);
}
