import type { StepOutline } from './definition.ts';

/** What a step decided, and why. */
export type RouteChoice = { label: string; reasoning?: string };

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

/**
 * The step where the line goes on: steps that it has entered `max_iterations` times are passed over, to what follows
 * them. A circle of such steps ends the line.
 */
export function withinLimits(
  steps: Map<string, StepOutline>,
  next: string | null,
  entered: Map<string, number>,
): { id: string | null; passed: StepOutline[] } {
  const passed: StepOutline[] = [];
  for (let id = next; ;) {
    const step = steps.get(id ?? '');
    if (!step || passed.includes(step)) return { id: null, passed };
    if ((entered.get(step.id) ?? 0) < step.max_iterations) return { id, passed };
    passed.push(step);
    id = step.next_step_id;
  }
}
