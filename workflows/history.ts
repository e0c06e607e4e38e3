import { condition, workflowInfo } from '@temporalio/workflow';
import type { RunInput } from './contract/inputs.ts';
import { growth } from './growth.ts';

/**
 * A run whose history has grown long continues as new: Temporal ends a workflow with 51,200 events or 50 MB. That needs the whole
 * run at rest, so that all that is to be known of it is its state.
 */

/** Begins to be long with so many events, or so many bytes. */
export type LongLivedRun = Readonly<Pick<RunInput, 'most_events' | 'history_limit'>>;

/** A little before Temporal suggests it; so many events unless `RUN_HISTORY_LIMIT` has said otherwise. */
const mostEvents = 4_000;
const mostBytes = 3_000_000;

/** What a run that continues as new is given: one of a release before counts itself from then on. */
export function nextLimit({ most_events, history_limit = mostEvents }: LongLivedRun) {
  return { most_events: most_events ?? Math.min(history_limit, mostEvents) };
}

/**
 * Thrown at a place where a run can be taken up again, when its history is long. It unwinds what has come there: what
 * depends on it does not begin, all else goes on until it rests too. It is no failure: `runToEnd` continues the run as new.
 */
export class RestForContinueAsNew extends Error {}

/** A place where the run can be taken up again. What is to be known of the work behind it must be in what is carried over. */
export function restWhenLong(run: LongLivedRun): void {
  if (isLong(run)) throw new RestForContinueAsNew('The history is long: the run continues as new.');
}

/**
 * Like `Promise.all`, a failure of one branch is one of all, at once. When a branch rests, so do all, but only when each
 * of the others has ended or rests too: until then one may still fail.
 */
export function allBranches(branches: Promise<void>[]): Promise<void> {
  let left = branches.length;
  let rest: RestForContinueAsNew | undefined;
  return new Promise((resolve, reject) => {
    function end(): void {
      left -= 1;
      if (left > 0) return;
      if (rest) reject(rest);
      else resolve();
    }
    function stop(error: unknown): void {
      if (!(error instanceof RestForContinueAsNew)) return reject(error);
      rest = error;
      end();
    }
    for (const branch of branches) branch.then(end, stop);
    if (left === 0) resolve();
  });
}

/** Resolves when the history is long and the run is at rest. */
export async function longAndAtRest(run: LongLivedRun, isAtRest: () => boolean): Promise<void> {
  for (;;) {
    await condition(() => isLong(run) && isAtRest());
    await othersAreDone();
    if (isAtRest()) return;
  }
}

/**
 * Resolves when all that happens at once has had its effect: conditions are looked at after each of these things, and
 * this one holds at the second look.
 */
export function othersAreDone(): Promise<void> {
  let looks = 0;
  return condition(() => looks++ > 0);
}

function isLong({ most_events, history_limit }: LongLivedRun): boolean {
  const { events, bytes } = growth();
  if (most_events !== undefined) return events >= most_events || bytes >= mostBytes;
  // Of a run that began before runs counted for themselves.
  const { continueAsNewSuggested, historyLength } = workflowInfo();
  return continueAsNewSuggested || (history_limit !== undefined && historyLength >= history_limit);
}
