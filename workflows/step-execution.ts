import { ActivityFailure, ApplicationFailure, TimeoutFailure } from '@temporalio/workflow';
import { asksModel, type StepOutline } from './contract/definition.ts';
import { written, type Outcome } from './contract/outcome.ts';
import { newTask } from './contract/plan.ts';
import type { ValueRef } from './contract/shared-state.ts';
import type { TaskState } from './contract/states.ts';
import { stopped } from './guards.ts';

/** Pure: one execution of a step. It is a task of the run; it has an outcome, or a reason why it failed. */

/** The task of one execution of a step. Its id is that of the step, and `step.2`, … when it is executed again. */
export function newStepTask(step: StepOutline, path: string, tasks: TaskState[]): TaskState {
  const task = newTask({
    id: newTaskId(step, tasks),
    title: step.name,
    kind: step.type === 'human' ? 'human' : asksModel(step) ? 'ai' : 'code',
    agent: 'agent_id' in step ? step.agent_id : null,
    model: 'model' in step ? step.model : null,
    depends_on: [],
  });
  const { id: step_id, type, output_key } = step;
  return { ...task, step: { step_id, type, path, output_key, writes: {}, next: null } };
}

/** Of a run that is done again from a step some are missing, and those that stand keep their ids. */
function newTaskId({ id }: StepOutline, tasks: TaskState[]): string {
  const taken = new Set(tasks.flatMap((task) => (task.step?.step_id === id ? [task.id] : [])));
  let n = taken.size + 1;
  while (taken.has(`${id}.${n}`)) n += 1;
  return n === 1 ? id : `${id}.${n}`;
}

/** The text in Postgres that a value is; null when it is none, or stands right here. */
export function idOf(output: ValueRef | null): string | null {
  if (!output) return null;
  return 'text' in output ? output.text : 'json' in output ? output.json : null;
}

export function outcomeOf(step: StepOutline, output: ValueRef | null): Outcome {
  return { writes: written(step, output), output_id: idOf(output), next: step.next_step_id };
}

/** Why the step failed, for its caller. What is no failure of it, and faults of our own code, go on upwards. */
export function stepFailure(step: StepOutline, error: unknown): ApplicationFailure {
  if (error instanceof ApplicationFailure) {
    if (error.type === 'GateExpired') return stopped(`Step '${step.name}' got no answer in time`);
    // "Cost limit exceeded: $0.52 > max $0.50", without the sums behind it.
    return error.type === 'BudgetExceeded' ? stopped(error.message.split(' (')[0]!) : error;
  }
  if (!(error instanceof ActivityFailure)) throw error;
  if (error.cause instanceof TimeoutFailure && error.cause.timeoutType === 'SCHEDULE_TO_CLOSE') {
    return stopped(`Step '${step.name}' timed out after ${step.timeout_seconds}s`);
  }
  return stopped(`Step '${step.name}' failed: ${error.cause?.message ?? error.message}`);
}
