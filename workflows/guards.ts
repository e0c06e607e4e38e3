import { ApplicationFailure } from '@temporalio/workflow';
import { timeNow } from './clock.ts';
import type { Outline } from './contract/definition.ts';
import type { Spent } from './contract/inputs.ts';

/** A run that ends here, for a reason that its caller reads. */
export function stopped(message: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(message, 'OrchestrationStopped');
}

export type Guards = ReturnType<typeof createGuards>;

/** What bounds an orchestration as a whole, looked at before each step. Its cost is bounded by the run's budget. */
export function createGuards({ max_total_turns, timeout_minutes }: Outline, before?: Spent) {
  let turns = before?.turns ?? 0;
  let since = timeNow() - (before?.milliseconds ?? 0);

  function check(): void {
    turns += 1;
    if (turns > max_total_turns) throw stopped(`Global turn limit (${max_total_turns}) exceeded`);
    const minutes = (timeNow() - since) / 60_000;
    if (minutes > timeout_minutes) {
      throw stopped(`Global timeout (${timeout_minutes} min) exceeded after ${minutes.toFixed(1)} min`);
    }
  }

  /** Somebody has answered, or the account is suspended no more: the time until then does not count. */
  function restartClock(at = timeNow()): void {
    since = at;
  }

  /** Whether the clock runs since before this moment. */
  const runsSinceBefore = (at: number) => since < at;

  return { check, restartClock, runsSinceBefore, spent: (): Spent => ({ turns, milliseconds: timeNow() - since }) };
}
