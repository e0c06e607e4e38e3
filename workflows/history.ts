import { condition, workflowInfo } from '@temporalio/workflow';

/**
 * A run whose history has grown long continues as new: Temporal ends a workflow with 51,200 events or 50 MB, and suggests
 * it long before. That needs the whole run at rest, so that all that is to be known of it is its state.
 */

/** `history_limit` is a number of events that counts as long already. */
export type LongLivedRun = { readonly history_limit: number | undefined };

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

function isLong({ history_limit }: LongLivedRun): boolean {
  const { continueAsNewSuggested, historyLength } = workflowInfo();
  return continueAsNewSuggested || (history_limit !== undefined && historyLength >= history_limit);
}
