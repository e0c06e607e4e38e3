import type { WorkerOptions } from '@temporalio/worker';

/** For so many places for work: 100 more for webhooks, and some for what only looks whether there is a place. */
export function activitySlots(places: number) {
  return { maxConcurrentActivityTaskExecutions: places + 120 };
}

/** How our workers run, in production, tests and benches alike. The figures were measured: see docs/performance.md. */
export const workerOptions = {
  // After a worker is lost, its cached runs move on after this, not after the default ten seconds.
  stickyQueueScheduleToStartTimeout: '1s',
  ...activitySlots(200),
  // Cancellation comes with a heartbeat's answer: let them through at their own pace.
  maxHeartbeatThrottleInterval: '1s',
  defaultHeartbeatThrottleInterval: '1s',
  shutdownGraceTime: '10s',
} satisfies Partial<WorkerOptions>;
