import { tasksAfter } from '../workflows/contract/steering.ts';
import type { Evidence } from './evidence.ts';
import type { SteeringAction } from './journal.ts';

/** What people have done to the tasks of a run beside answering, as its events tell it. */
export type Steering = {
  n: number;
  action: SteeringAction;
  task_id: string;
  redone: string[];
  cancelled: string[];
  /** Which request it was. */
  note: string | undefined;
  /** The feedback, or the output. */
  text: string | undefined;
  /** When it was accepted, in milliseconds since 1970. */
  at: number;
};

type Task = Evidence['tasks'][number];

const actions: Record<string, SteeringAction> = {
  'task.retried': 'retry',
  'task.corrected': 'correct',
  'task.skipped': 'skip',
  'task.cancelled': 'cancel',
};

/** In their order. */
export function steeringsOf({ events, texts }: Evidence, run_id: string): Steering[] {
  return events.flatMap(({ run_id: of, type, data, created_at }) => {
    const action = actions[type];
    if (of !== run_id || !action) return [];
    const { n, task_id, redone, cancelled, note, feedback_id, output_id } = data as Record<string, any>;
    const text = texts.get(feedback_id ?? output_id ?? '');
    return [{ n, action, task_id, redone, cancelled, note, text, at: new Date(created_at).getTime() }];
  });
}

/** Those of a run that have a task done again, or given anew: each makes it a round older. */
export function renewalsOf(e: Evidence, run_id: string, task_id: string): Steering[] {
  return touchesOf(e, run_id, task_id).filter(({ action }) => action === 'retry' || action === 'correct');
}

/** Those of a run that change a task, by name or with one before it. */
export function touchesOf(e: Evidence, run_id: string, task_id: string): Steering[] {
  const tasks = e.tasks.filter((task) => task.run_id === run_id && isPlanned(task));
  // What people helped with beside the plan is asked anew when the run goes back.
  const isBeside = !tasks.some(({ id }) => id === task_id);
  return steeringsOf(e, run_id).filter((steering) => {
    if (steering.task_id === task_id) return true;
    if (steering.action === 'skip') return false;
    return isBeside || tasksAfter(tasks, steering.task_id).some(({ id }) => id === task_id);
  });
}

/** Of the plan, and not what Orchflow asks beside it. */
export const isPlanned = ({ id, title }: Pick<Task, 'id' | 'title'>) => /^T\d+$/.test(id) && title !== 'Final output';

/** A person has given its output in place of who does it. */
export const isGiven = ({ output_id }: Pick<Task, 'output_id'>) => output_id?.includes('/steering/') ?? false;

/** The attempt of a task that a call is of. */
export const attemptOf = (call_id: string) => Number(call_id.split('/')[3]);

/** The task was done again, or left out, while this call of it, or a tool that it asked for, was yet to be finished. */
export function isSuperseded(e: Evidence, run_id: string, task_id: string, call_id: string): boolean {
  const task = e.tasks.find((row) => row.run_id === run_id && row.id === task_id);
  if (!task || touchesOf(e, run_id, task_id).length === 0) return false;
  return attemptOf(call_id) < task.attempts || task.status !== 'completed' || isGiven(task);
}
