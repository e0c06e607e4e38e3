import { findOrchestrationRun } from '../../../db/orchestration-run-views.ts';
import type { RunStatus } from '../../../workflows/contract/states.ts';
import type { Db } from '../../../db/index.ts';
import type { RunEvents } from '../../runs/events.ts';
import { toAnswer } from './run-view.ts';

/**
 * Waits until the run has completed, failed or paused, and answers so. After the time, and at once when it begins only then,
 * there is no answer: it goes on. Returns the run too, as it was read for this; undefined when it is not found any more.
 */
export async function waitForAnswer(
  { db, runEvents }: { db: Db; runEvents: RunEvents },
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
    if (!run || answer || signal.aborted || timeout_ms <= 0 || run.status === seen) return { run, answer };
    if (run.starts_in_ms !== null && run.starts_in_ms >= timeout_ms) return { run };
    seen = run.status;
    await runEvents.waitWhile(run_id, (status) => status === seen, { timeout_ms, signal });
  }
}
