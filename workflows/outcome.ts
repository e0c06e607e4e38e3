import { ActivityFailure, ApplicationFailure, TimeoutFailure } from '@temporalio/workflow';
import type { StepOutline } from './contract/definition.ts';
import { stopped } from './guards.ts';
import type { TaskState } from './contract/states.ts';
import type { ValueRef } from './contract/shared-state.ts';

export type Writes = Record<string, ValueRef>;
/** What a step did: what it wrote, and where its line goes on. */
export type Outcome = { writes: Writes; output_id: string | null; next: string | null };

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

/** Code has its time for itself, and this for its way to it. */
const codeAllowance = 60;

/** The step's own time bounds all attempts together. */
export function optionsOf(step: StepOutline, task: TaskState) {
  const isCode = step.type === 'transform' || step.type === 'if_else' || step.type === 'switch';
  const seconds = step.timeout_seconds + (isCode ? codeAllowance : 0);
  return { summary: `${task.id}: ${step.name}`, scheduleToCloseTimeout: seconds * 1_000 };
}

/** Why the step failed, for its caller. Faults of our own code go on upwards. */
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
