import type { Duration } from '@temporalio/common';
import { msToNumber } from '@temporalio/common/lib/time.js';
import type { StartTime } from '../../db/run-queue.ts';
import { InvalidInputError } from '../errors.ts';

/** When a run is to begin, as it is asked for: a time, or a duration such as "2h". */
export type StartTimeRequest = { start_at?: string; start_in?: string };

/** A run is accepted so long before it begins, in milliseconds. */
const longest = msToNumber('365d');

/** The same as it is stored; undefined: at once. Throws `InvalidInputError` for both at once, and for a time that is too far away. */
export function startTimeOf({ start_at, start_in }: StartTimeRequest): StartTime | undefined {
  if (start_at !== undefined && start_in !== undefined) {
    throw new InvalidInputError([{ path: ['start_in'], detail: 'cannot be given with `start_at`' }]);
  }
  if (start_at !== undefined && Date.parse(start_at) - Date.now() > longest) {
    throw new InvalidInputError([{ path: ['start_at'], detail: 'must be at most 365 days from now' }]);
  }
  if (start_in !== undefined) return { start_in_ms: msToNumber(start_in as Duration) };
  return start_at === undefined ? undefined : { start_at };
}
