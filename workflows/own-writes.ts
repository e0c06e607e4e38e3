import { patched, proxyActivities, proxyLocalActivities } from '@temporalio/workflow';
import type { Activities } from '../activities/index.ts';

const options = {
  // A write takes milliseconds: what has not come by then went down with its worker.
  startToCloseTimeout: '5s',
  retry: { initialInterval: '200ms', maximumInterval: '20s' },
} as const;

const activities = proxyActivities<Activities>(options);
const localActivities = proxyLocalActivities<Activities>(options);

/** Short writes to Postgres that ride in no other activity. A run makes them one by one (`projection.ts`). */
export type OwnWrites = typeof activities;

/**
 * The writes are activities. Before, they were local ones: of such a one, the workflow hears in another moment when its history is
 * replayed, once a query was answered while it was under way (docs/surprises.md).
 */
export function writesAreLocal(): boolean {
  return !patched('writes-are-activities');
}

export function ownWrites(areLocal: boolean): OwnWrites {
  return areLocal ? localActivities : activities;
}
