import type { Db } from '../../../db/index.ts';
import type { RunEvents } from '../../runs/events.ts';
import { waitForRun } from '../../runs/wait.ts';
import { readOrchestrationRun } from './read-run.ts';
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
  const read = () => readOrchestrationRun(db, account_id, run_id, { signal });
  const hasResult = (run: NonNullable<Awaited<ReturnType<typeof read>>>) => toAnswer(run) !== undefined;
  const run = await waitForRun(runEvents, run_id, { read, hasResult }, { most_ms: seconds * 1_000, signal });
  return { run, answer: run && toAnswer(run) };
}
