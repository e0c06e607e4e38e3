import type { WorkerOptions } from '@temporalio/worker';

/**
 * How our workers run, in production, tests and benches alike, with so many places for work. The figures were measured: see
 * docs/performance.md.
 */
export function workerOptions(places: number) {
  return {
    // After a worker is lost, its cached runs move on after this, not after the default ten seconds.
    stickyQueueScheduleToStartTimeout: '1s',
    // More for what is done in a moment, and for what only looks whether there is a place.
    maxConcurrentActivityTaskExecutions: places + 120,
    // Cancellation comes with a heartbeat's answer: let them through at their own pace.
    maxHeartbeatThrottleInterval: '1s',
    defaultHeartbeatThrottleInterval: '1s',
    shutdownGraceTime: '10s',
  } satisfies Partial<WorkerOptions>;
}
