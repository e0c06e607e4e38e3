import type { SourceStep } from '../../db/orchestration-reruns.ts';
import type { Run } from '../../db/schema.ts';
import type { StateRefs } from '../../db/shared-state.ts';
import type { Definition } from '../../workflows/contract/definition.ts';
import type { RerunFrom } from '../../workflows/contract/inputs.ts';
import type { ValueRef } from '../../workflows/contract/shared-state.ts';
import { DomainError, InvalidInputError } from '../errors.ts';
import { firstState, keptValue, type NewText } from './first-state.ts';
import { editsThatStand, stateBefore, whatStands, withAnswers } from './standing.ts';
import { stepsToRun } from './steps-to-run.ts';

/** Of a run with those of the runs that it does again: its workflow is started with all of them. */
const maxEdits = 1_000;

/**
 * What a new run takes over. All ids of texts are its own; `copies` says of which texts of the source they are. `tasks`: under which
 * id a step stands, by the ids of all its tries. `toRun`: the steps that may be executed.
 */
export type Taken = {
  standing: SourceStep[];
  tasks: Map<string, string>;
  toRun: Set<string>;
  first_state: StateRefs;
  shared_state: StateRefs;
  rerun_from: RerunFrom;
  copies: Map<string, string>;
  edits: NewText[];
};

/**
 * What a run takes over that does `from_task` of another again, with these edits. Throws `InvalidInputError` for a task that is none
 * of the other run and for too many edits, and `RUN_NOT_READY`.
 */
export function takeOver(
  run_id: string,
  { run, steps }: { run: Run; steps: SourceStep[] },
  definition: Definition,
  { from_task, edits: given_edits }: { from_task: string; edits: Record<string, unknown> },
): Taken {
  const source = { ...withAnswers({ executions: steps, rerun_from: run.rerun_from, definition }), definition };
  const { executions } = source;
  const first = executions.find(({ id }) => id === from_task);
  if (!first) throw new InvalidInputError([{ path: ['from_task'], detail: 'is not a step that this run has begun' }]);
  const { path } = first.step;
  const { standing, missing, steps: anew } = whatStands(source, path);
  if (missing.length > 0) {
    const ids = missing.map(({ id }) => id).join(', ');
    const message = `${ids} must be completed before ${from_task} can be done again.`;
    throw new DomainError('RUN_NOT_READY', message, { members: { run_status: run.status } });
  }

  const { copies, copyOf, copiesOf } = createCopies(run.run_id, run_id);
  const copied = standing.map(({ output_id, step, ...execution }) => ({
    ...execution,
    output_id: output_id === null ? null : copyOf(output_id),
    step: { ...step, writes: copiesOf(step.writes) },
  }));
  const first_state = copiesOf(run.first_state ?? firstStateOf(run, definition));
  const given = Object.entries(given_edits).map(
    ([key, value]) => [key, keptValue(run_id, `edits/${path}/${key}`, value)] as const,
  );
  const before = editsThatStand(source, path);
  const edits: RerunFrom['edits'] = Object.fromEntries(before.map(([at, values]) => [at, copiesOf(values)]));
  edits[path] = { ...edits[path], ...Object.fromEntries(given.map(([key, { ref }]) => [key, ref])) };
  const count = Object.values(edits).reduce((sum, values) => sum + Object.keys(values).length, 0);
  if (count > maxEdits) {
    const detail = `must have at most ${maxEdits} members, with those of the reruns before it that still hold`;
    throw new InvalidInputError([{ path: ['edits'], detail }]);
  }
  return {
    standing: copied,
    tasks: standingTasks(executions, standing),
    toRun: stepsToRun(source, { standing }, path),
    first_state,
    shared_state: stateBefore(first_state, copied, edits, path),
    rerun_from: { steps: anew, edits },
    copies,
    edits: given.map(([, { text }]) => text),
  };
}

function standingTasks(executions: SourceStep[], standing: SourceStep[]): Map<string, string> {
  const byPath = new Map(standing.map(({ id, step }) => [step.path, id]));
  return new Map(executions.flatMap(({ id, step }) => (byPath.has(step.path) ? [[id, byPath.get(step.path)!]] : [])));
}

/** Names the copies that a run has of texts of another, and keeps which they are. */
function createCopies(from: string, to: string) {
  const copies = new Map<string, string>();
  const copyOf = (text_id: string): string => {
    const copy = text_id.startsWith(`${from}/`) ? `${to}${text_id.slice(from.length)}` : `${to}/${text_id}`;
    copies.set(text_id, copy);
    return copy;
  };
  const copyOfValue = (ref: ValueRef): ValueRef => {
    if ('value' in ref) return ref;
    return 'text' in ref ? { text: copyOf(ref.text) } : { json: copyOf(ref.json) };
  };
  const copiesOf = (refs: StateRefs): StateRefs =>
    Object.fromEntries(Object.entries(refs).map(([key, ref]) => [key, copyOfValue(ref)]));
  return { copies, copyOf, copiesOf };
}

/** What the state of a run of 0.1.0 began with. */
function firstStateOf({ run_id, task }: Run, definition: Definition): StateRefs {
  return firstState(run_id, definition, { message: task, initial_state: {} }).refs;
}
