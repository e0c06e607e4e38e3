import type { StepOutline } from './definition.ts';
import type { ValueRef } from './shared-state.ts';

export type Writes = Record<string, ValueRef>;

/** What a step did: what it wrote, and where its line goes on. */
export type Outcome = { writes: Writes; output_id: string | null; next: string | null };

/** A value where the step keeps what it makes. */
export function written({ output_key }: Pick<StepOutline, 'output_key'>, output: ValueRef | null): Writes {
  return output_key && output ? { [output_key]: output } : {};
}

/** Of a step that a person has answered; without an output nobody has in time, and the empty form is approved. */
export function answerOf(step: Pick<StepOutline, 'output_key' | 'next_step_id'>, output_id: string | null): Outcome {
  const answer: ValueRef = output_id === null ? { value: {} } : { json: output_id };
  return { writes: { ...written(step, answer), human_response: answer }, output_id, next: step.next_step_id };
}
