import { proxyLocalActivities } from '@temporalio/workflow';
import type { Activities } from '../activities/index.ts';

/** Short writes to Postgres, sooner done than an activity is dispatched. They run one by one (`projection.ts`). */
export const { saveProgress, recordAnswer, expireGate } = proxyLocalActivities<Activities>({
  startToCloseTimeout: '15s',
  retry: { initialInterval: '200ms', maximumInterval: '20s' },
});
