import { findOrchestrationRun } from '../../../db/orchestration-runs.ts';
import type { RunStatus } from '../../../workflows/contract/states.ts';
import type { AppDeps } from '../../deps.ts';
import { toAnswer } from './run-view.ts';

/** Waits until the run has completed, failed or paused, and answers so. Undefined after the time: it goes on. */
export async function waitForAnswer(
  { db, runEvents }: AppDeps,
  account_id: string,
  run_id: string,
  { seconds, signal }: { seconds: number; signal: AbortSignal },
) {
  const end = performance.now() + seconds * 1_000;
  for (let seen: RunStatus | undefined; ;) {
    const run = await findOrchestrationRun(db, account_id, run_id);
    const answer = run && toAnswer(run);
    const timeout_ms = end - performance.now();
    // Woken, and nothing has changed: this process stops.
    if (!run || answer || signal.aborted || timeout_ms <= 0 || run.status === seen) return answer;
    seen = run.status;
    await runEvents.waitWhile(run_id, (status) => status === seen, { timeout_ms, signal });
  }
}
