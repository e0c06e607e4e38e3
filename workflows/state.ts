import { eventOf, type EventType, type RunEvent } from './contract/events.ts';
import type { GateState, RunState, TaskState } from './contract/states.ts';

/**
 * What a run is, and what has changed in it since it was written to Postgres. Every change goes through here;
 * `projection.ts` brings it there.
 */

/** What is not written yet. */
export type Changes = {
  run: boolean;
  tasks: Set<TaskState>;
  gates: Set<GateState>;
  /** Not known to be in Postgres. Every write carries all of them, so that they arrive in their order. */
  events: RunEvent[];
};

/** What a run must have to be changed. */
export type ChangingRun = { readonly state: RunState; readonly changes: Changes };

const maxWarnings = 50;

/** The state that a run begins with. */
export function newState(run_id: string): RunState {
  return { run_id, status: 'running', phase: 'queued', tasks: [], warnings: [], error: null, final_output_id: null };
}

export function noChanges(): Changes {
  return { run: false, tasks: new Set(), gates: new Set(), events: [] };
}

/** Records an event of the run. */
export function record({ changes }: ChangingRun, type: EventType, data?: Record<string, unknown>): void {
  changes.run = true;
  changes.events.push(eventOf(type, data));
}

export function changeRun({ state, changes }: ChangingRun, change: Partial<Omit<RunState, 'run_id' | 'tasks'>>): void {
  Object.assign(state, change);
  changes.run = true;
}

/** Changes a task, and with it the status of the run: it waits as long as any of its tasks waits for a person. */
export function changeTask(run: ChangingRun, task: TaskState, change: Partial<TaskState>): void {
  const { state, changes } = run;
  Object.assign(task, change);
  changes.tasks.add(task);
  if (task.gate) changes.gates.add(task.gate);
  if (state.status === 'running' || state.status === 'waiting_human') {
    changeRun(run, { status: waitingTasks(state).length > 0 ? 'waiting_human' : 'running' });
  }
}

/** A task in which a person is asked for something beside the plan: it is there once. */
export function addTask({ state }: ChangingRun, task: TaskState): void {
  if (!state.tasks.includes(task)) state.tasks.push(task);
}

export function complete(run: ChangingRun, task: TaskState, output_id: string | null): void {
  changeTask(run, task, { status: 'completed', output_id, error: null });
  record(run, 'task.completed', { task_id: task.id, output_id, round: task.round });
}

/** Each warning once, and the first 50: a run may live for weeks. */
export function warn(run: ChangingRun, ...warnings: string[]): void {
  for (const warning of warnings) {
    const known = run.state.warnings;
    if (known.length >= maxWarnings || known.includes(warning)) continue;
    changeRun(run, { warnings: [...known, warning] });
    record(run, 'run.warning', { warning });
  }
}

/** The ids of the tasks that wait for a person. */
export function waitingTasks({ tasks }: RunState): string[] {
  return tasks.filter(({ status }) => status === 'waiting_human').map(({ id }) => id);
}
