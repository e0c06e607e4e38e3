import { sql } from 'kysely';
import type { RunEvent } from '../workflows/contract/events.ts';
import type { Db } from './index.ts';
import type { FailedTry } from './schema.ts';

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

/** So many of them are kept of a run: one may fail for days, and what lasts is told by events too. `trace_view` has the number too. */
const mostTries = 1_000;

/** Keeps that a call failed, and is tried again: once for each key, and of a run the first ones. Nothing of one that is purged. */
export async function insertFailedTry(
  db: Db,
  { run_id, try_key, task_id, tries, reason }: Omit<FailedTry, 'created_at'>,
): Promise<void> {
  await sql`
    insert into failed_tries (run_id, try_key, task_id, tries, reason)
    select run_id, ${try_key}, ${task_id}, ${tries}::integer, ${reason} from runs
    where run_id = ${run_id} and account_id is not null
      and (select count(*) from failed_tries where failed_tries.run_id = runs.run_id) < ${mostTries}
    on conflict do nothing`.execute(db);
}
