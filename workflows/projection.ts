import { CancellationScope, condition, patched, workflowInfo } from '@temporalio/workflow';
import { timeNow } from './clock.ts';
import { completed, completedEvent } from './contract/completion.ts';
import { isBesidePlan } from './contract/plan.ts';
import { hasEnded, versionsPerWorkflowTask, type Progress, type RunStatus, type TaskState } from './contract/states.ts';
import { othersAreDone } from './history.ts';
import { keepDescribing, showToOperators, type ShownRun } from './operators-view.ts';
import { ownWrites, writesAreLocal, type OwnWrites } from './own-writes.ts';
import type { ChangingRun } from './state.ts';

/**
 * The way of a run's changes to Postgres, where readers find them. What has changed rides along with the next activity
 * (`rides.ts`), and what finds no ride by the end of a workflow task is written by itself.
 */

export type Projection = {
  /** Of the newest progress that was taken. */
  version: number;
  /** Above it is all that this run writes since it continued as new. */
  readonly versionsBefore: number;
  /** How many activities are under way. */
  underway: number;
  /** When a person last answered, or the run was last held up from outside, in milliseconds since 1970; 0 before. */
  waitedUntil: number;
  /** How many took changes along since any were last known to be written. */
  rides: number;
  /** How much the activities have been given that began in the workflow task with this length of the history. */
  given: { historyLength: number; weight: number };
  /** Resolves in a later workflow task. */
  later?: Promise<void> | undefined;
  lastWrite: Promise<unknown>;
  /** The newest write that is made by itself, with the status that stands after it. */
  saving: Promise<RunStatus>;
  /** What that write is to say, until it begins. */
  queued?: { progress: Progress };
  /** What such writes say, until it is known to be written: an activity that begins later may be done before them. */
  readonly unwritten: Set<{ progress: Progress }>;
  /** The status with which an activity has ended the run in Postgres. */
  ended?: RunStatus;
  /** What is written is written also when the run is cancelled. */
  readonly regardless: CancellationScope;
  /** Whether the run is held, as far as it has heard, and how often it was released. */
  isHeld: boolean;
  releases: number;
};

export type ProjectedRun = ChangingRun &
  ShownRun & {
    readonly projection: Projection;
    /** Of all its work: cancelled when the run ends early. */
    readonly scope: CancellationScope;
  };

export function openProjection(version = 0, isHeld = false): Projection {
  return {
    version,
    versionsBefore: version,
    underway: 0,
    rides: 0,
    given: { historyLength: 0, weight: 0 },
    waitedUntil: 0,
    lastWrite: Promise.resolve(),
    saving: Promise.resolve('running'),
    unwritten: new Set(),
    regardless: new CancellationScope({ cancellable: false }),
    isHeld,
    releases: 0,
  };
}

/** From here on, what finds no ride is written by itself, and operators see all. */
export function keepSaving(run: ProjectedRun): void {
  keepDescribing(run);
  void run.projection.regardless.run(async () => {
    for (;;) {
      await condition(() => run.changes.run);
      await saved(run);
    }
  });
}

/**
 * Makes writes one after another. The SDK replays the results of several local ones under way in other batches than
 * they came in, and what a run does next may depend on the batch. The same goes for one that outlasts its workflow
 * task: so each of their results has its effect after all that comes with it.
 */
export function oneByOne<T>({ projection }: ProjectedRun, write: (writes: OwnWrites) => Promise<T>): Promise<T> {
  const areLocal = writesAreLocal();
  projection.underway += 1;
  const result = projection.lastWrite.then(async () => {
    try {
      return await write(ownWrites(areLocal));
    } finally {
      if (areLocal) await projection.regardless.run(othersAreDone);
      projection.underway -= 1;
    }
  });
  projection.lastWrite = result.catch(() => {});
  return result;
}

/**
 * Resolves when all changes so far that did not ride are in Postgres, with the run's status there: a cancellation that
 * reached Postgres before this write stands against it. While a write waits for its turn, it takes along what else there is: when
 * hundreds of people are asked at once, a write for each would hold up the workflow task until the server ends it.
 */
export function saved(run: ProjectedRun): Promise<RunStatus> {
  const { state, changes, projection } = run;
  if (changes.run && projection.queued && !projection.ended && areGathered()) {
    giveBack(run, projection.queued.progress);
    projection.queued.progress = snapshot(run);
    return projection.saving;
  }
  const progress = take(run);
  if (projection.ended) {
    changes.events = [];
    return Promise.resolve(projection.ended);
  }
  if (progress) {
    const queued = { progress };
    projection.queued = queued;
    if (!writesAreLocal()) projection.unwritten.add(queued);
    projection.saving = oneByOne(run, ({ saveProgress }) => {
      if (projection.queued === queued) projection.queued = undefined;
      if (queued.progress !== progress) showToOperators(run);
      const summary = summaryOf(queued.progress);
      return projection.regardless.run(() =>
        saveProgress.executeWithOptions({ summary }, [state.run_id, queued.progress]),
      );
    }).then(({ status, final_output_id = null }) => {
      projection.unwritten.delete(queued);
      const isTooLate = status === 'completed' && queued.progress.run.status === 'failed';
      if (isTooLate) Object.assign(run.state, completed(final_output_id), { error: null, error_code: undefined });
      if (queued.progress.run.status === 'completed' && !hasEnded(status)) takeBack(run, queued.progress);
      else markSaved(run, queued.progress);
      return status;
    });
  }
  return projection.saving;
}

function areGathered(): boolean {
  return !writesAreLocal() || patched('writes-are-gathered');
}

/** An activity has completed the run in Postgres. With the status that stands there, there is nothing more to write. */
export function endedInPostgres({ projection }: ProjectedRun, status: RunStatus): void {
  projection.ended = status;
}

/** True when no activity is under way and all changes are in Postgres. */
export function projectionIsAtRest({ changes, projection }: ProjectedRun): boolean {
  return projection.underway === 0 && !changes.run && changes.events.length === 0;
}

/** For the run that continues as new: newer than any that was written, also by a workflow task that was lost. */
export function nextVersion({ projection }: ProjectedRun): number {
  return Math.max(projection.version, lowestVersion(projection)) + versionsPerWorkflowTask;
}

function lowestVersion({ versionsBefore }: Projection): number {
  return versionsBefore + workflowInfo().historyLength * versionsPerWorkflowTask;
}

/** What is to be written now, if anything is. Operators are shown the same at the same time; what is added to a write, when it begins. */
export function take(run: ProjectedRun): Progress | undefined {
  if (!run.changes.run) return undefined;
  showToOperators(run);
  return snapshot(run);
}

function snapshot(run: ProjectedRun): Progress {
  const { state, changes, projection } = run;
  projection.version = Math.max(projection.version + 1, lowestVersion(projection));
  const { status, phase, warnings, error, error_code, final_output_id, shared_state, steered = 0 } = state;
  const progress: Progress = {
    version: projection.version,
    at: timeNow(),
    run: { status, phase, warnings, error, error_code, final_output_id, shared_state, steered },
    tasks: [...changes.tasks].map(({ gate: _gate, ...task }) => ({ ...task, position: positionOf(state.tasks, task) })),
    gates: [...changes.gates].map((gate) => ({ ...gate })),
    events: [...changes.events],
  };
  changes.run = false;
  changes.tasks = new Set();
  changes.gates = new Set();
  return progress;
}

/** What is asked beside the plan comes last, also when it comes before the plan. */
function positionOf(tasks: TaskState[], task: Pick<TaskState, 'id'>): number {
  const index = tasks.findIndex(({ id }) => id === task.id);
  return isBesidePlan(task) ? 1_000 + index : index;
}

export function markSaved({ changes, projection }: ProjectedRun, progress: Progress): void {
  projection.rides = 0;
  changes.events = changes.events.filter((event) => !progress.events.includes(event));
}

/** A person has steered the run before it could complete, so nothing of this was written. */
function takeBack(run: ProjectedRun, progress: Progress): void {
  if (run.state.status === 'completed') {
    Object.assign(run.state, { status: 'running', phase: 'finalize', final_output_id: null });
  }
  giveBack(run, progress);
  run.changes.events = run.changes.events.filter(({ type }) => type !== completedEvent);
}

/**
 * What was not written yet, or perhaps not, is to be written as it is by now; what was changes nothing. A gate that its task
 * has no more is closed in Postgres already.
 */
export function giveBack({ state, changes }: ProjectedRun, progress: Progress): void {
  changes.run = true;
  const tasks = new Set(progress.tasks.map(({ id }) => id));
  const gates = new Set(progress.gates.map(({ gate_id }) => gate_id));
  for (const task of state.tasks) {
    if (tasks.has(task.id)) changes.tasks.add(task);
    if (task.gate && gates.has(task.gate.gate_id)) changes.gates.add(task.gate);
  }
}

/** "T1: gate.opened", for the Temporal Web UI. */
function summaryOf({ run, events }: Progress): string {
  const last = events.at(-1);
  if (!last) return `run.${run.status}`;
  const { task_id } = last.data;
  return typeof task_id === 'string' ? `${task_id}: ${last.type}` : last.type;
}
