import { ancestors } from './graph.ts';
import type { TaskStatus } from './states.ts';

/** What people do to the tasks of a run that is under way, beside answering its gates. */

/** The second detail of a failure that puts work off because its run is held. Workflows of 0.1.0 wait for the first one. */
export const heldPause = 'held';

type Node = { id: string; depends_on: string[] };

/**
 * One of them, as Postgres has accepted it. `n` counts them in their run, from 1: each is done once, in this order. Texts are
 * in Postgres; `reason` is how the feedback begins. `begun` is given when it is sent again: how far the tasks that are done
 * again were when it was accepted, for a workflow that has not come so far would find what was paid for before it.
 */
export type Steering = { n: number; task_id: string; begun?: Record<string, Begun> } & (
  | { action: 'retry'; feedback_id: string | null; reason: string | null }
  | { action: 'correct'; output_id: string }
  | { action: 'skip'; output_id: string | null }
  | { action: 'cancel' }
);

/** How many attempts and gates a task has had. */
export type Begun = { attempts: number; gates: number };

/** The tasks that build on this one, in their order. */
export function tasksAfter<T extends Node>(tasks: T[], id: string): T[] {
  return tasks.filter((task) => ancestors(tasks, task.id).includes(id));
}

/** By a person, and it stays so when what is before it is done again. */
export function isLeftOut({ status }: { status: TaskStatus }): boolean {
  return status === 'skipped' || status === 'cancelled';
}
