import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  condition,
  patched,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import { isBesidePlan } from './contract/plan.ts';
import type { Progress, RunStatus, TaskState } from './contract/states.ts';
import { othersAreDone } from './history.ts';
import { saveProgress } from './local-activities.ts';
import { keepDescribing, showToOperators, type ShownRun } from './operators-view.ts';
import type { ChangingRun } from './state.ts';

/**
 * The way of a run's changes to Postgres, where readers find them. What has changed rides along with the next activity,
 * and what finds no ride by the end of a workflow task is written by itself.
 */

export type Projection = {
  /** Of the newest progress that was taken. */
  version: number;
  /** Above it is all that this run writes since it continued as new. */
  readonly versionsBefore: number;
  /** How many activities are under way. */
  underway: number;
  /** When a person last answered, or the account was last no more suspended, in milliseconds since 1970; 0 before. */
  waitedUntil: number;
  /** How many took changes along since any were last known to be written. */
  rides: number;
  lastLocalActivity: Promise<unknown>;
  /** The newest write that is made by itself, with the status that stands after it. */
  saving: Promise<RunStatus>;
  /** What that write is to say, until it begins. */
  queued?: { progress: Progress };
  /** The status with which an activity has ended the run in Postgres. */
  ended?: RunStatus;
  /** What is written is written also when the run is cancelled. */
  readonly regardless: CancellationScope;
};

export type ProjectedRun = ChangingRun & ShownRun & { readonly projection: Projection };

/**
 * A workflow task that is lost with its worker has written to Postgres all the same, and when it is made again more may
 * have happened than at the first time. What it writes then must count as newer: the history is longer by then.
 */
const versionsPerWorkflowTask = 1_000;

export function openProjection(version = 0): Projection {
  return {
    version,
    versionsBefore: version,
    underway: 0,
    rides: 0,
    waitedUntil: 0,
    lastLocalActivity: Promise.resolve(),
    saving: Promise.resolve('running'),
    regardless: new CancellationScope({ cancellable: false }),
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

/** What more activities than these have to tell is written by itself before they begin. */
const mostRides = 25;

/**
 * Runs an activity that writes the changes so far before it does its work. One that was put off is begun anew, and of a
 * suspended account after a while: no time that bounds it runs out meanwhile.
 */
export async function runWithProgress<T>(
  run: ProjectedRun,
  activity: (progress: Progress | undefined) => Promise<T>,
): Promise<T> {
  for (;;) {
    // Each takes all along that is not known to be written, so many that begin at once would be too much for one message.
    if (run.projection.rides >= mostRides && patched('many-do-not-ride')) await saved(run);
    const progress = take(run);
    if (progress) run.projection.rides += 1;
    let pause: ReturnType<typeof pauseOf>;
    run.projection.underway += 1;
    try {
      const result = await activity(progress);
      if (progress) markSaved(run, progress);
      return result;
    } catch (error) {
      if (progress) giveBack(run, progress);
      if (!wasPutOff(error)) throw error;
      pause = pauseOf(error);
    } finally {
      run.projection.underway -= 1;
    }
    if (pause.ms > 0) {
      await sleep(pause.ms);
      if (pause.isSuspension) run.projection.waitedUntil = Date.now();
    }
  }
}

/**
 * True of an activity that found no place among those of its account, however long it waited for one, or whose account is
 * suspended.
 */
export function wasPutOff(error: unknown): boolean {
  const type = failureOf(error)?.type;
  return type === 'WorkQueued' || type === 'AccountSuspended';
}

/** How long it is to wait before it is begun anew (`activities/places.ts`). */
function pauseOf(error: unknown): { ms: number; isSuspension: boolean } {
  const { type, details } = failureOf(error)!;
  return { ms: Number(details?.[0] ?? 0), isSuspension: type === 'AccountSuspended' };
}

function failureOf(error: unknown): ApplicationFailure | undefined {
  const failure = error instanceof ActivityFailure ? error.cause : undefined;
  return failure instanceof ApplicationFailure ? failure : undefined;
}

/**
 * Runs local activities one after another. The SDK replays the results of several under way in other batches than
 * they came in, and what a run does next may depend on the batch. The same goes for one that outlasts its workflow
 * task: so each result has its effect after all that comes with it.
 */
export function oneByOne<T>({ projection }: ProjectedRun, localActivity: () => Promise<T>): Promise<T> {
  projection.underway += 1;
  const result = projection.lastLocalActivity.then(async () => {
    try {
      return await localActivity();
    } finally {
      await projection.regardless.run(othersAreDone);
      projection.underway -= 1;
    }
  });
  projection.lastLocalActivity = result.catch(() => {});
  return result;
}

/**
 * Resolves when all changes so far that did not ride are in Postgres, with the run's status there: a cancellation that
 * reached Postgres before this write stands against it. While a write waits for its turn, it takes along what else there is: when
 * hundreds of people are asked at once, a write for each would hold up the workflow task until the server ends it.
 */
export function saved(run: ProjectedRun): Promise<RunStatus> {
  const { state, changes, projection } = run;
  if (changes.run && projection.queued && !projection.ended && patched('writes-are-gathered')) {
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
    const write = () =>
      saveProgress.executeWithOptions({ summary: summaryOf(queued.progress) }, [state.run_id, queued.progress]);
    projection.saving = oneByOne(run, () => {
      if (projection.queued === queued) projection.queued = undefined;
      if (queued.progress !== progress) showToOperators(run);
      return projection.regardless.run(write);
    }).then(({ status }) => {
      markSaved(run, queued.progress);
      return status;
    });
  }
  return projection.saving;
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
function take(run: ProjectedRun): Progress | undefined {
  if (!run.changes.run) return undefined;
  showToOperators(run);
  return snapshot(run);
}

function snapshot(run: ProjectedRun): Progress {
  const { state, changes, projection } = run;
  projection.version = Math.max(projection.version + 1, lowestVersion(projection));
  const { status, phase, warnings, error, final_output_id, shared_state } = state;
  const progress: Progress = {
    version: projection.version,
    at: Date.now(),
    run: { status, phase, warnings, error, final_output_id, shared_state },
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

function markSaved({ changes, projection }: ProjectedRun, progress: Progress): void {
  projection.rides = 0;
  changes.events = changes.events.filter((event) => !progress.events.includes(event));
}

/**
 * What was not written yet, or perhaps not, is to be written as it is by now; what was changes nothing. A gate that its task
 * has no more is closed in Postgres already.
 */
function giveBack({ state, changes }: ProjectedRun, progress: Progress): void {
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
