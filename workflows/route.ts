import type { StepOutline } from './definition.ts';

/** What a step decided, and why. */
export type Decision = { label: string; reasoning?: string };

/** Where the line goes on after this step decided so. Null: it ends. */
export function nextOf(step: StepOutline, label: string): string | null {
  switch (step.type) {
    case 'evaluator':
      return Object.hasOwn(step.route_map, label) ? step.route_map[label]! : step.next_step_id;
    case 'if_else':
      return (label === 'true' ? step.if_true_step_id : step.if_false_step_id) ?? step.next_step_id;
    case 'switch':
      if (Object.keys(step.switch_cases).length === 0) return step.switch_default_step_id ?? step.next_step_id;
      return Object.hasOwn(step.switch_cases, label) ? step.switch_cases[label]! : step.switch_default_step_id;
    default:
      return step.next_step_id;
  }
}
