import { patched } from '@temporalio/workflow';
import { reach, type StepOutline } from './contract/definition.ts';
import { withinLimits } from './contract/route.ts';
import type { TaskState } from './contract/states.ts';
import { stopped } from './guards.ts';
import { record, warn, type ChangingRun } from './state.ts';

/** How often the steps of a line are entered, and where it goes on when that is often enough. */

export type LimitedRun = ChangingRun & {
  readonly attempt: number;
  /** The steps of the definition, by id. */
  readonly steps: Map<string, StepOutline>;
  /** The tasks that were done before, by their path. */
  readonly done: Map<string, TaskState>;
  /** The steps to which the run went before, by the path of their tasks. */
  readonly went: Map<string, string>;
};

/** Of the steps of a line: how often each was entered, and which since a person has answered. */
export type Entries = { times: Map<string, number>; sinceAnswer: Set<string> };

export function noEntries(): Entries {
  return { times: new Map(), sinceAnswer: new Set() };
}

/** Counts that a step is entered. */
export function enter({ times, sinceAnswer }: Entries, { id }: StepOutline): void {
  times.set(id, (times.get(id) ?? 0) + 1);
  sinceAnswer.add(id);
}

/** After an execution of a step in which people may have answered. */
export function leave(run: LimitedRun, { sinceAnswer }: Entries, step: StepOutline, path: string): void {
  if (peopleAnswered(run, step, path)) sinceAnswer.clear();
}

/** True when people were asked by this execution of a step, or by a step inside it. */
function peopleAnswered({ state }: LimitedRun, { type }: StepOutline, path: string): boolean {
  if (type !== 'parallel' && type !== 'loop') return type === 'human';
  return state.tasks.some(({ status, step }) => {
    return status === 'completed' && step?.type === 'human' && step.path.startsWith(`${path}.`);
  });
}

/**
 * The step where the line goes on. Steps that were entered often enough are passed over, but none that a person's answer
 * leads to, and none behind which people are asked whom the line would not come to any more: what they say would be lost,
 * and the run complete without it. It fails instead, and counts anew when it is tried again. `from` is the path of the step before, `to` that of the next. Where the run went this way before, it does so again.
 */
export function goOn(
  run: LimitedRun,
  { times, sinceAnswer }: Entries,
  next: string | null,
  { from, to }: { from: string; to: string },
): string | null {
  const known = run.steps.get(run.went.get(to) ?? '');
  if (known) {
    if ((times.get(known.id) ?? 0) >= known.max_iterations) times.clear();
    return known.id;
  }
  const { id, passed } = withinLimits(run.steps, next, times);
  const lost = passed.find((over) => !sinceAnswer.has(over.id) || leavesOut(run, over.id, id, to.includes('.')));
  if (!lost || !patched('answers-outlast-limits')) {
    for (const over of passed) passOver(run, over);
    return id;
  }
  const isTriedAgain = run.attempt > 1 && run.done.has(from);
  if (!isTriedAgain) throw stopped(tooOften(lost, times.get(lost.id)!));
  for (const over of passed.slice(0, passed.indexOf(lost))) passOver(run, over);
  times.clear();
  return lost.id;
}

/**
 * Whether people are asked in the circle of a step, or anywhere behind it, to whom no way leads from where the line goes
 * on. A line that ends inside of another step goes on behind that one: there only its circle counts.
 */
function leavesOut({ steps }: LimitedRun, from: string, to: string | null, isInside: boolean): boolean {
  const ahead = reach(steps, [from]);
  const left = reach(steps, to === null ? [] : [to]);
  return [...ahead].some((id) => {
    if (steps.get(id)!.type !== 'human' || left.has(id)) return false;
    return !isInside || reach(steps, [id]).has(from);
  });
}

function tooOften({ name, max_iterations }: StepOutline, times: number): string {
  return (
    `Step '${name}' was entered ${times} times, and its \`max_iterations\` is ${max_iterations}: passing it over would pass ` +
    'over a person, or what one has answered. Retry the run to go there once more, or raise `max_iterations` for the next one.'
  );
}

function passOver(run: LimitedRun, { id: step_id, name, max_iterations }: StepOutline): void {
  // Which of the times it is passed over, for the key of the event.
  const n = `${step_id}/${run.state.tasks.length}`;
  record(run, 'step.loop_limit_reached', { step_id, iterations: max_iterations, max_iterations, n });
  warn(run, `Step '${name}' was passed over after ${max_iterations} times.`);
}
