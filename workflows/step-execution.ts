import { ActivityFailure, ApplicationFailure, TimeoutFailure } from '@temporalio/workflow';
import { asksModel, type StepOutline } from './contract/definition.ts';
import { newTask } from './contract/plan.ts';
import type { ValueRef } from './contract/shared-state.ts';
import type { TaskState } from './contract/states.ts';
import { stopped } from './guards.ts';

/** Pure: one execution of a step. It is a task of the run; it has an outcome, or a reason why it failed. */

export type Writes = Record<string, ValueRef>;

/** What a step did: what it wrote, and where its line goes on. */
export type Outcome = { writes: Writes; output_id: string | null; next: string | null };

/** The task of one execution of a step. Its id is that of the step, and `step.2`, … when it is executed again. */
export function newStepTask(step: StepOutline, path: string, tasks: TaskState[]): TaskState {
  const before = tasks.filter((task) => task.step?.step_id === step.id).length;
  const task = newTask({
    id: before === 0 ? step.id : `${step.id}.${before + 1}`,
    title: step.name,
    kind: step.type === 'human' ? 'human' : asksModel(step) ? 'ai' : 'code',
    agent: 'agent_id' in step ? step.agent_id : null,
    model: 'model' in step ? step.model : null,
    depends_on: [],
  });
  const { id: step_id, type, output_key } = step;
  return { ...task, step: { step_id, type, path, output_key, writes: {}, next: null } };
}

/** The text in Postgres that a value is; null when it is none, or stands right here. */
export function idOf(output: ValueRef | null): string | null {
  if (!output) return null;
  return 'text' in output ? output.text : 'json' in output ? output.json : null;
}

export function written({ output_key }: StepOutline, output: ValueRef | null): Writes {
  return output_key && output ? { [output_key]: output } : {};
}

export function outcomeOf(step: StepOutline, output: ValueRef | null): Outcome {
  return { writes: written(step, output), output_id: idOf(output), next: step.next_step_id };
}

/** Of a step that a person has answered. */
export function answerOf(step: StepOutline, output_id: string): Outcome {
  const answer: ValueRef = { json: output_id };
  return { writes: { ...written(step, answer), human_response: answer }, output_id, next: step.next_step_id };
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
