import { ApplicationFailure } from '@temporalio/activity';
import { findCodeAbove } from '../db/call-chains.ts';
import type { Db } from '../db/index.ts';

/**
 * Places for code that other code waits for. That keeps its own place meanwhile, so what is below it must not need one of those: it
 * might be the one that is waited for.
 */

/** `leave` gives the place back; undefined where it is taken, to be looked for again after so many milliseconds on average. */
type Lent = { leave: (() => void) | undefined; pause_ms: number };

/** A place for work of a run that found none. Undefined where no code waits for it. @throws `NoSandbox` where too much does. */
export type Lend = (run_id: string, account_id: string) => Promise<Lent | undefined>;

/** So much code may wait above other code and that still be lent a place: each has memory of its own. */
export const mostWaiting = 8;
const pause_ms = 1_000;

/**
 * An account has one such place in each worker for each depth of a chain of calls. That is enough, however many chains there are, in
 * whatever workers: of all that is lent a place, what is deepest waits for nothing, or for what finds the next depth free.
 */
export function createLentPlaces(db: Db): Lend {
  const taken = new Set<string>();
  return async (run_id, account_id) => {
    const { depth, waiting } = await findCodeAbove(db, run_id);
    if (waiting === 0) return undefined;
    if (waiting > mostWaiting) {
      const message = `this server has no place for code that more than ${mostWaiting} others wait for, each for the next.`;
      throw ApplicationFailure.nonRetryable(message, 'NoSandbox');
    }
    const key = `${account_id}/${depth}`;
    if (taken.has(key)) return { leave: undefined, pause_ms };
    taken.add(key);
    return { leave: () => void taken.delete(key), pause_ms };
  };
}
