import { ApplicationFailure } from '@temporalio/activity';
import type { OwnRun } from '../db/schema.ts';

/**
 * How much time a run has before its deadline, in milliseconds; one that is tried again has no deadline. Its workflow sees to that,
 * but hears of it late when no worker was there: nothing is paid, or begun, meanwhile.
 * @throws `DeadlineOver` when there is none left.
 */
export function timeLeft({ agent_run, attempt }: Pick<OwnRun, 'agent_run' | 'attempt'>): number {
  const deadline_at = attempt > 1 ? undefined : agent_run?.deadline_at;
  const left_ms = deadline_at === undefined ? Infinity : deadline_at - Date.now();
  if (left_ms <= 0) throw ApplicationFailure.nonRetryable('it was not done in time.', 'DeadlineOver');
  return left_ms;
}
