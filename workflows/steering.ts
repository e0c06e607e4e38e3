import { CancellationScope, isCancellation, patched, setHandler } from '@temporalio/workflow';
import { isStoppedAlone } from './cancellation.ts';
import { completedEvent } from './contract/completion.ts';
import { topologicalOrder } from './contract/graph.ts';
import type { FinalWork, PlannedTask } from './contract/inputs.ts';
import { isLeftOut, tasksAfter, type Steering } from './contract/steering.ts';
import { hasEnded, type TaskProgress, type TaskState } from './contract/states.ts';
import { allBranches, RestForContinueAsNew } from './history.ts';
import { steerSignal } from './messages.ts';
import type { RunContext } from './run-context.ts';
import { changeRun, changeTask, complete, warn } from './state.ts';
import { noAttempts } from './task-attempts.ts';

/**
 * The tasks of a goal as branches of its run, and what people do to them beside answering. A branch can be stopped and begun
 * anew: what builds on its task is done again too, and what stands beside it goes on.
 */

/** Work on a task. `done` resolves also when it was stopped. */
type Branch = { readonly scope: CancellationScope; readonly done: Promise<void> };

/** A run of a goal, as far as it can be steered. */
export type SteeredRun = RunContext & {
  /** The tasks of the plan, by id. */
  readonly planned: Map<string, PlannedTask>;
  /** How far the tasks are, by id. */
  readonly taskProgress: Map<string, TaskProgress>;
  readonly finalWork: FinalWork;
  readonly branches: Map<string, Branch>;
  /** The work on the final output, while it is under way. */
  finalizing?: CancellationScope;
  /** What came before there was a plan, as to a workflow task that was lost with its worker. */
  readonly early: Steering[];
  /** Does a task that is not done yet. */
  readonly doTask: (task: TaskState) => Promise<void>;
};

/** From here on people can steer. */
export function hearSteering(run: SteeredRun): void {
  setHandler(steerSignal, (steering) => steer(run, steering), {
    description: 'Sent by Orchflow when a task is retried, corrected, skipped or cancelled over REST.',
  });
}

/** Does what came before there was a plan. */
export function steerAsToldBefore(run: SteeredRun): void {
  for (const steering of run.early.splice(0)) steer(run, steering);
}

/** Begins each of these tasks as soon as the tasks that it depends on are done. */
export function beginTasks({ branches, scope: parent, doTask }: SteeredRun, tasks: TaskState[]): void {
  const tasksById = new Map(tasks.map((task) => [task.id, task]));
  for (const id of topologicalOrder(withinThese(tasks))!) {
    const task = tasksById.get(id)!;
    const before = task.depends_on.map((dependency) => branches.get(dependency)!.done);
    const stopped = branches.get(id)?.done.catch(() => {});
    // A signal is heard outside of it.
    const scope = new CancellationScope({ cancellable: true, parent });
    const begun = Promise.all(stopped ? [...before, stopped] : before);
    const done = begun.then(() => doUnlessStopped(scope, () => doTask(task)));
    // `tasksDone` looks at it only after those that were begun before it.
    done.catch(() => {});
    branches.set(id, { scope, done });
  }
}

/** Without what is under way already. */
function withinThese(tasks: TaskState[]) {
  const ids = new Set(tasks.map(({ id }) => id));
  return tasks.map(({ id, depends_on }) => ({ id, depends_on: depends_on.filter((before) => ids.has(before)) }));
}

/** Resolves when all tasks are done, also those that were begun anew meanwhile. */
export async function tasksDone({ branches }: SteeredRun): Promise<void> {
  for (;;) {
    const begun = [...branches];
    const rest = await allBranches(begun.map(([, { done }]) => done)).then(() => undefined, restOf);
    if (begun.some(([id, branch]) => branches.get(id) !== branch)) continue;
    if (rest) throw rest;
    return;
  }
}

function restOf(error: unknown): RestForContinueAsNew {
  if (error instanceof RestForContinueAsNew) return error;
  throw error;
}

/** Writes the final output; undefined when the run went back to its tasks meanwhile. */
export async function finalizeUnlessSteered(
  run: SteeredRun,
  write: () => Promise<string>,
): Promise<string | undefined> {
  const scope = new CancellationScope({ cancellable: true, parent: run.scope });
  run.finalizing = scope;
  const written = await doUnlessStopped(scope, write);
  return run.finalizing === scope ? written : undefined;
}

/** Stopped alone, and not with its run, it resolves. */
async function doUnlessStopped<T>(scope: CancellationScope, work: () => Promise<T>): Promise<T | undefined> {
  if (isStoppedAlone(scope)) return undefined;
  try {
    return await scope.run(work);
  } catch (error) {
    if (isCancellation(error) && isStoppedAlone(scope)) return undefined;
    throw error;
  }
}

/**
 * Does what Postgres has accepted: each once, in its order. Of one that is missing, as a process of the release before may have
 * lost it, all that come after it wait until it is sent again (`activities/progress.ts`).
 */
function steer(run: SteeredRun, steering: Steering): void {
  // A worker of the release before may have heard it, and done nothing.
  if (!patched('steering')) return;
  const { state, planned, early } = run;
  if (!isSteering(steering)) return warn(run, 'A signal `steer` was not taken: Orchflow sends it.');
  if (steering.n !== (state.steered ?? 0) + early.length + 1) return;
  if (planned.size === 0) return void early.push(steering);
  changeRun(run, { steered: steering.n });
  const task = state.tasks.find(({ id }) => id === steering.task_id && planned.has(id));
  if (!task || state.status === 'failed' || state.status === 'cancelled') return;
  catchUp(run, steering);
  const anew = changeTasks(run, task, steering);
  if (state.phase !== 'execute') {
    if (anew.length > 0 || steering.action === 'correct') goBack(run);
  } else if (run.branches.size > 0) beginTasks(run, anew);
}

/** What a workflow that was lost had done of these tasks counts, as it is in the journal. */
function catchUp({ state, openings }: SteeredRun, { begun = {} }: Steering): void {
  for (const task of state.tasks) {
    const { attempts, gates } = begun[task.id] ?? { attempts: 0, gates: 0 };
    task.attempts = Math.max(task.attempts, attempts);
    if (gates > 0) openings.set(task.id, Math.max(openings.get(task.id) ?? 0, gates));
  }
}

function isSteering(sent: Partial<Steering> | undefined): sent is Steering {
  const actions: unknown[] = ['retry', 'correct', 'skip', 'cancel'];
  return typeof sent?.n === 'number' && typeof sent.task_id === 'string' && actions.includes(sent.action);
}

/** Returns the tasks whose branches are to be begun anew: also of those that are left out, for what comes after them waits for it. */
function changeTasks(run: SteeredRun, task: TaskState, steering: Steering): TaskState[] {
  const after = tasksAfter(plannedTasks(run), task.id);
  switch (steering.action) {
    case 'retry': {
      reset(run, task, task.kind === 'ai');
      for (const one of after.filter((later) => !isLeftOut(later))) reset(run, one, false);
      const { feedback_id, reason } = steering;
      run.taskProgress.set(task.id, { ...noAttempts(), feedback_id, trouble: reason === null ? null : { reason } });
      return [task, ...after];
    }
    case 'correct': {
      stop(run, task);
      changeTask(run, task, { round: (task.round ?? 0) + 1, evaluation: null });
      complete(run, task, steering.output_id);
      for (const one of after.filter((later) => !isLeftOut(later))) reset(run, one, false);
      return after;
    }
    case 'skip':
      if (hasEnded(task.status)) warn(run, `${task.id} was ${task.status} before it could be skipped.`);
      else {
        stop(run, task);
        if (steering.output_id) complete(run, task, steering.output_id);
        else changeTask(run, task, { status: 'skipped', output_id: null, error: null });
      }
      return [];
    case 'cancel':
      for (const one of [task, ...after].filter(({ status }) => !hasEnded(status))) {
        stop(run, one);
        changeTask(run, one, { status: 'cancelled', output_id: null, error: null });
      }
      return [];
  }
}

/** As it was before it began. Its attempts count on, for each is in the journal. */
function reset(run: SteeredRun, task: TaskState, keepsDraft: boolean): void {
  // At the approval of a call, its arguments stand in the place of the draft.
  const isAtCall = task.gate?.status === 'open' && task.gate.kind === 'tool_approval';
  const draft = isAtCall ? (run.taskProgress.get(task.id)?.loop?.draft_id ?? null) : task.output_id;
  stop(run, task);
  run.taskProgress.set(task.id, noAttempts());
  const round = (task.round ?? 0) + 1;
  const output_id = keepsDraft ? draft : null;
  changeTask(run, task, { status: 'pending', round, output_id, evaluation: null, error: null });
}

function stop({ branches, openings }: SteeredRun, { id, gate }: TaskState): void {
  branches.get(id)?.scope.cancel();
  if (gate?.status === 'open') gate.status = 'closed';
  // A workflow task that was lost may have opened the next one in Postgres, where it is closed by now.
  openings.set(id, (openings.get(id) ?? 0) + 1);
}

/** From the final output to the tasks, which are begun there. */
function goBack(run: SteeredRun): void {
  const { state, changes, planned, branches, finalWork, finalizing } = run;
  if (state.phase !== 'finalize' && state.phase !== 'done') return;
  changeRun(run, { status: 'running', phase: 'execute', final_output_id: null });
  changes.events = changes.events.filter(({ type }) => type !== completedEvent);
  branches.clear();
  for (const asked of state.tasks.filter(({ id, gate }) => !planned.has(id) && gate?.kind === 'escalation')) {
    stop(run, asked);
    changeTask(run, asked, { status: 'pending', round: (asked.round ?? 0) + 1 });
  }
  // What was paid for is in the journal under its number.
  finalWork.attempt += 1;
  run.finalizing = undefined;
  finalizing?.cancel();
}

/** Without those in which a person helps with the budget or the final output. */
export function plannedTasks({ state, planned }: SteeredRun): TaskState[] {
  return state.tasks.filter(({ id }) => planned.has(id));
}
