import { ActivityFailure, isCancellation, proxyActivities } from '@temporalio/workflow';
import type { Activities } from '../activities/index.ts';

/** How activities that call models or tools are run. */
export const modelActivityOptions = {
  // The activity bounds each call itself; a lost worker is noticed by its missing heartbeats.
  startToCloseTimeout: '30 minutes',
  heartbeatTimeout: '6s',
  // About a day of failures. Not a time: a server that was switched off over a weekend has lost none of its runs.
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '30s', maximumAttempts: 2_880 },
  cancellationType: 'TRY_CANCEL',
} as const;

/** The steps of a run in which a model is asked, or a tool is called. */
export const { splitTasks, inferDeps, executeTask, callStep, callTool, evaluateTask, finalizeRun } =
  proxyActivities<Activities>(modelActivityOptions);

/** Why the activity gave up, in a sentence. Cancellations, and faults of our own code, go on upwards. */
export function refusal(error: unknown): string {
  if (isCancellation(error) || !(error instanceof ActivityFailure)) throw error;
  return error.cause?.message ?? error.message;
}
