import { ApplicationFailure, CancellationScope, sleep } from '@temporalio/workflow';
import { timeNow } from './clock.ts';
import type { AgentRunInput } from './contract/inputs.ts';
import { changeRun, type ChangingRun } from './state.ts';

/**
 * Tells a story that has failed when its deadline is over; what is under way then is cancelled by who hears of it. The timer is in
 * the history: no crash makes a run longer than it may be.
 * @throws `DeadlineOver`.
 */
export async function withinDeadline<T>(
  run: ChangingRun,
  { agent, deadline_at }: Pick<AgentRunInput, 'agent' | 'deadline_at'>,
  tell: () => Promise<T>,
): Promise<T> {
  if (deadline_at === undefined) return tell();
  const timing = new CancellationScope();
  const late = timing.run(async (): Promise<never> => {
    await sleep(Math.max(deadline_at - timeNow(), 1));
    changeRun(run, { error_code: 'TIMEOUT' });
    throw ApplicationFailure.nonRetryable(`The agent "${agent.name}" was not done in time.`, 'DeadlineOver');
  });
  // It is cancelled with the run, and once the story is told.
  late.catch(() => {});
  try {
    return await Promise.race([tell(), late]);
  } finally {
    timing.cancel();
  }
}
