import { ApplicationFailure } from '@temporalio/activity';
import { refreshWork, type Known, type Work } from '../db/work.ts';
import { hasEnded, type Refused } from '../workflows/contract/states.ts';
import type { ActivityDeps } from './deps.ts';

/**
 * Makes the second model call of an activity, with what is known of its run by then: `known`, where the first answer came
 * with it. What can be tried again fails the activity: the next try finds the first call in the journal. Undefined when it
 * cannot be made now, since the account is suspended, the run is held, or a person must decide about the budget: it is left
 * to an activity of its own, which waits as calls do.
 */
export async function callAfter<T>(
  { db }: ActivityDeps,
  work: Work,
  known: Known | undefined,
  call: (work: Work) => Promise<T>,
): Promise<T | Refused | undefined> {
  work.second_call_at = Date.now();
  const now = await refreshWork(db, work, known);
  if (hasEnded(now.run.status) || now.suspended_ms !== null || now.run.held_at) return undefined;
  try {
    return await call(now);
  } catch (error) {
    if (!(error instanceof ApplicationFailure) || !error.nonRetryable) throw error;
    const isLeft = error.type === 'BudgetExceeded' || error.type === 'AccountSuspended';
    return isLeft ? undefined : { refused: error.message };
  }
}
