import { condition, workflowInfo } from '@temporalio/workflow';

export type History = ReturnType<typeof watchHistory>;

/**
 * Tells when the history of a run has grown long: Temporal ends a workflow with 51,200 events or 50 MB, and suggests to
 * continue as new long before. `limit` is a number of events that counts as long already.
 */
export function watchHistory(limit: number | undefined) {
  function isLong(): boolean {
    const { continueAsNewSuggested, historyLength } = workflowInfo();
    return continueAsNewSuggested || (limit !== undefined && historyLength >= limit);
  }

  /** Waits, at a place where the run can be taken up again, for the end of a long history. */
  async function toContinue(): Promise<void> {
    await condition(() => false);
  }

  /** Resolves when the history is long and the run is at rest, so that all that is to be known of it is its state. */
  async function longAndAtRest(isAtRest: () => boolean): Promise<void> {
    for (;;) {
      await condition(() => isLong() && isAtRest());
      await othersAreDone();
      if (isAtRest()) return;
    }
  }

  return { isLong, toContinue, longAndAtRest };
}

/**
 * Resolves when all that happens at once has had its effect: conditions are looked at after each of these things, and
 * this one holds at the second look.
 */
export function othersAreDone(): Promise<void> {
  let looks = 0;
  return condition(() => looks++ > 0);
}
