import { sql } from 'kysely';
import type { RunEvent } from '../workflows/contract/events.ts';
import type { TaskKind } from '../workflows/contract/states.ts';
import type { Db } from './index.ts';

/**
 * Stores the tasks of a plan with their descriptions, in their order, and goes on to the phase `infer_deps`, with these
 * events; all else of them comes with the run's progress. A run that was cancelled meanwhile gets none: nobody would close
 * them.
 */
export async function showPlan(
  db: Db,
  run_id: string,
  tasks: { id: string; title: string; description: string; kind: TaskKind; skills?: string[] }[],
  events: RunEvent[],
): Promise<void> {
  await sql`select show_plan(${run_id}, ${JSON.stringify(tasks)}::jsonb, ${JSON.stringify(events)}::jsonb)`.execute(db);
}

/** What a task is about, and the skills that it asks for, where that is known only when it begins. */
export async function describeTask(
  db: Db,
  { run_id, id }: { run_id: string; id: string },
  described: { description: string; skills?: string[] },
): Promise<void> {
  await db.updateTable('tasks').set(described).where('run_id', '=', run_id).where('id', '=', id).execute();
}
