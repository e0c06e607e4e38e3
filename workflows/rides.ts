import { ActivityFailure, ApplicationFailure, condition, patched, sleep, workflowInfo } from '@temporalio/workflow';
import { stopHere } from './cancellation.ts';
import { timeNow } from './clock.ts';
import { heldPause } from './contract/steering.ts';
import type { Progress } from './contract/states.ts';
import { giveBack, markSaved, saved, take, type ProjectedRun } from './projection.ts';

/** Activities that take a run's changes along to Postgres, and are begun anew when they are put off. */

/** What more activities than these have to tell is written by itself before they begin. */
const mostRides = 25;

/**
 * Of what activities that begin in one workflow task are given together, or one of them alone. gRPC takes 4 MiB. This number and
 * what `weightOf` says decide in which workflow task an activity begins, so histories hold both fast.
 */
const mostWeight = 500_000;

/** More characters than each of them has, but for the fields of a form. */
const weights = { run: 2_000, task: 2_000, gate: 2_000, event: 1_000, key: 200 };

/** What `runWithProgress` is to know of an activity. */
export type Ride = {
  /** How many values of a shared state it is given. */
  keys?: number;
  /** All that is not known to be written goes along. */
  endsRun?: boolean;
};

/**
 * Runs an activity that writes the changes so far before it does its work. One that was put off is begun anew: of a
 * suspended account after a while, of a run that is held when it is released. No time that bounds it runs out meanwhile.
 */
export async function runWithProgress<T>(
  run: ProjectedRun,
  activity: (progress: Progress | undefined) => Promise<T>,
  { keys = 0, endsRun = false }: Ride = {},
): Promise<T> {
  for (;;) {
    // Each takes all events along that are not known to be written, and that grows while many begin at once.
    if (run.projection.rides >= mostRides && patched('many-do-not-ride')) await saved(run);
    for (const { progress } of run.projection.unwritten) {
      // A gate that comes later than the status of its run would leave it as one that does not wait.
      if (endsRun || progress.gates.length > 0) giveBack(run, progress);
    }
    let progress = take(run);
    while (!takeRoom(run, progress, keys) && patched('messages-have-room')) {
      if (progress) giveBack(run, progress);
      await (run.changes.run ? saved(run) : laterTask(run));
      progress = take(run);
    }
    if (progress) run.projection.rides += 1;
    const { releases } = run.projection;
    let pause: ReturnType<typeof pauseOf>;
    run.projection.underway += 1;
    try {
      const result = await activity(progress);
      if (progress) markSaved(run, progress);
      stopHere(run);
      return result;
    } catch (error) {
      if (progress) giveBack(run, progress);
      if (!wasPutOff(error)) throw error;
      pause = pauseOf(error);
    } finally {
      run.projection.underway -= 1;
    }
    if (pause.isHeld) {
      await condition(() => run.projection.releases > releases, pause.ms, { summary: 'Held; looks again' });
    } else if (pause.ms > 0) await sleep(pause.ms);
    else continue;
    if (pause.type !== 'WorkQueued') run.projection.waitedUntil = timeNow();
  }
}

/**
 * Takes room for what an activity is given in the message that ends this workflow task. False when it does not fit: gRPC refuses a
 * message that is too large, and the SDK makes the same one for ever.
 */
function takeRoom({ projection }: ProjectedRun, progress: Progress | undefined, keys: number): boolean {
  const { historyLength } = workflowInfo();
  if (projection.given.historyLength !== historyLength) projection.given = { historyLength, weight: 0 };
  const { given } = projection;
  const more = keys * weights.key + (progress ? weightOf(progress) : 0);
  if (given.weight > 0 && given.weight + more > mostWeight) return false;
  given.weight += more;
  return true;
}

/** Counted, not measured: texts of errors and warnings may change while a run waits. */
function weightOf({ run, tasks, gates, events }: Progress): number {
  const forms = gates.reduce((sum, { fields }) => sum + (fields ? JSON.stringify(fields).length : 0), 0);
  const keys = Object.keys(run.shared_state ?? {}).length;
  return (
    weights.run +
    keys * weights.key +
    tasks.length * weights.task +
    gates.length * weights.gate +
    events.length * weights.event +
    forms
  );
}

/** Resolves in the next workflow task, which comes soon. */
function laterTask({ projection }: ProjectedRun): Promise<void> {
  projection.later ??= projection.regardless
    .run(() => sleep(1, { summary: 'More begins' }))
    .finally(() => {
      projection.later = undefined;
    });
  return projection.later;
}

/**
 * True of an activity that found no place among those of its account, however long it waited for one, whose account is
 * suspended, or whose run is held.
 */
export function wasPutOff(error: unknown): boolean {
  const type = failureOf(error)?.type;
  return type === 'WorkQueued' || type === 'AccountSuspended';
}

/** True of an activity that has used up its tries while the agent that it has called was at work. */
export function isStillCalled(error: unknown): boolean {
  return failureOf(error)?.type === 'AgentAtWork';
}

/** How long it is to wait before it is begun anew (`activities/places.ts`). */
function pauseOf(error: unknown): { ms: number; type: string; isHeld: boolean } {
  const { type, details } = failureOf(error)!;
  return { ms: Number(details?.[0] ?? 0), type: type!, isHeld: details?.[1] === heldPause };
}

function failureOf(error: unknown): ApplicationFailure | undefined {
  const failure = error instanceof ActivityFailure ? error.cause : undefined;
  return failure instanceof ApplicationFailure ? failure : undefined;
}
