import type { SourceStep } from '../../db/orchestration-reruns.ts';
import type { StateRefs } from '../../db/shared-state.ts';
import type { StepOutline } from '../../workflows/contract/definition.ts';
import { answerOf } from '../../workflows/contract/outcome.ts';
import type { RerunFrom } from '../../workflows/contract/inputs.ts';
import type { ValueRef } from '../../workflows/contract/shared-state.ts';

/**
 * Pure: what of a run stands when it is done again from one of its steps. Executions are known by their paths: `5.2/1` is the
 * first of iteration 2 of the loop that is the fifth of its line (`workflows/orchestration.ts`).
 */

/**
 * The run that is done again: what it has executed, and where it took over from another one. Of a rerun that has not come to the
 * containers around its step, only `rerun_from` says that they are there.
 */
export type Source = {
  executions: SourceStep[];
  rerun_from: RerunFrom | null;
  definition: { steps: Pick<StepOutline, 'id' | 'type' | 'next_step_id'>[] };
};

/** Where an execution is, as seen from the step: `around` it is a container that it is inside of, `after` it is also itself. */
type Relation = 'before' | 'beside' | 'around' | 'after';

/** `missing`: what would have to stand, and is not completed. `steps` is that of `RerunFrom`. */
export type Standing = { standing: SourceStep[]; missing: SourceStep[]; steps: RerunFrom['steps'] };

/**
 * A run with its human steps as completed whose answer was accepted, though its workflow has not heard of it; but not where
 * another try has taken that answer over.
 */
export function withAnswers(source: Source): Source {
  const next = new Map(source.definition.steps.map((step) => [step.id, step.next_step_id]));
  const completed = completedPaths(source.executions);
  const executions = source.executions.map((execution): SourceStep => {
    const { output_id, step } = execution;
    if (step.type !== 'human' || output_id === null || completed.has(step.path)) return execution;
    const { writes, next: follows } = answerOf({ ...step, next_step_id: next.get(step.step_id) ?? null }, output_id);
    return { ...execution, status: 'completed', step: { ...step, writes, next: follows } };
  });
  return { ...source, executions };
}

/** What stands of a run when the execution of this path, and all after it, is done again. */
export function whatStands(source: Source, from: string): Standing {
  const { executions, rerun_from } = source;
  const loops = loopsOf(source);
  const completed = completedPaths(executions);
  const found: Standing = { standing: [], missing: [], steps: {} };
  for (const execution of executions) {
    const { path, step_id } = execution.step;
    const relation = relationOf(loops, path, from);
    const mayStand = relation === 'before' || relation === 'beside';
    if (mayStand && execution.status === 'completed') found.standing.push(execution);
    // Another try of it has failed.
    else if (completed.has(path) && mayStand) continue;
    else if (relation === 'before') found.missing.push(execution);
    else if (relation !== 'after' || path === from) found.steps[path] = step_id;
  }
  for (const [path, step_id] of Object.entries(rerun_from?.steps ?? {})) {
    if (!completed.has(path) && relationOf(loops, path, from) !== 'after') found.steps[path] = step_id;
  }
  return found;
}

/** The edits of a rerun that are still to be made when it is done again from this step itself. */
export function editsThatStand(source: Source, from: string): [path: string, values: Record<string, ValueRef>][] {
  const loops = loopsOf(source);
  return Object.entries(source.rerun_from?.edits ?? {}).filter(
    ([path]) => path === from || relationOf(loops, path, from) !== 'after',
  );
}

/** Which step each path of a run is known to be an execution of. */
export function stepsByPath({ executions, rerun_from }: Source): Map<string, string> {
  const begun = executions.map(({ step }) => [step.path, step.step_id] as const);
  return new Map([...Object.entries(rerun_from?.steps ?? {}), ...begun]);
}

/** The state of the run itself where the execution of this path, or the container around it, begins. */
export function stateBefore(
  first: StateRefs,
  standing: SourceStep[],
  edits: RerunFrom['edits'],
  from: string,
): StateRefs {
  const own = standing.filter(({ step }) => !step.path.includes('/'));
  const inOrder = own.map(({ step }) => step).toSorted((one, other) => Number(one.path) - Number(other.path));
  const [outermost] = from.split(/[./]/);
  return Object.assign(
    {},
    first,
    ...inOrder.flatMap(({ path, writes }) => [edits[path] ?? {}, writes]),
    edits[outermost!] ?? {},
  );
}

function relationOf(loops: Set<string>, path: string, from: string): Relation {
  const [own, other] = [placesOf(path), placesOf(from)];
  for (let level = 0, line = ''; ; level += 1) {
    const [here, there] = [own[level]!, other[level]!];
    if (here.n !== there.n) return here.n < there.n ? 'before' : 'after';
    if (there.part === undefined) return 'after';
    if (here.part === undefined) return 'around';
    const container = `${line}${here.n}`;
    if (here.part !== there.part) {
      if (!loops.has(container)) return 'beside';
      return here.part < there.part ? 'before' : 'after';
    }
    line = `${container}.${here.part}/`;
  }
}

function completedPaths(executions: SourceStep[]): Set<string> {
  return new Set(executions.flatMap(({ status, step }) => (status === 'completed' ? [step.path] : [])));
}

/** The paths at which there are loops. */
function loopsOf(source: Source): Set<string> {
  const ids = new Set(source.definition.steps.flatMap(({ id, type }) => (type === 'loop' ? [id] : [])));
  return new Set([...stepsByPath(source)].flatMap(([path, step_id]) => (ids.has(step_id) ? [path] : [])));
}

/** Which of its line, from the outermost one inwards; of containers, in which branch or iteration. */
export function placesOf(path: string): { n: number; part: number | undefined }[] {
  return path.split('/').map((place) => {
    const [n, part] = place.split('.').map(Number);
    return { n: n!, part };
  });
}
