import { findOrchestrationRun } from '../../../db/orchestration-run-views.ts';
import type { Db } from '../../../db/index.ts';
import type { RunEvents } from '../../runs/events.ts';
import { HttpError } from '../../http/problems.ts';
import { inRow } from '../../http/row.ts';
import { waitForRun } from '../../runs/wait.ts';
import { readOrchestrationRun } from './read-run.ts';
import { toAnswer } from './run-view.ts';

/**
 * Waits until the run has completed, failed or paused, and answers so. After the time, and at once when it begins only then,
 * there is no answer: it goes on. Returns the run too, as it was read for this; undefined when it is not found any more; and `refused`,
 * where it has an answer that is not read, as `mayRead` or the turn of a long one says.
 */
export async function waitForAnswer(
  { db, runEvents }: { db: Db; runEvents: RunEvents },
  account_id: string,
  run_id: string,
  { seconds, signal, mayRead }: { seconds: number; signal: AbortSignal; mayRead: () => void },
) {
  // Nothing of its state, which may be long, until it is to be told.
  const read = () => findOrchestrationRun(db, account_id, run_id, { most: 0 });
  const hasResult = (run: NonNullable<Awaited<ReturnType<typeof read>>>) => toAnswer(run) !== undefined;
  const seen = await waitForRun(runEvents, run_id, { read, hasResult }, { most_ms: seconds * 1_000, signal });
  if (!seen || !hasResult(seen)) return { run: seen };
  try {
    const run = await readOrchestrationRun(db, account_id, run_id, {
      enter: (turns, key) => turns.enter(key, inRow(signal)),
      mayRead,
    });
    return { run, answer: run && toAnswer(run) };
  } catch (refused) {
    if (refused instanceof HttpError) return { run: seen, refused };
    throw refused;
  }
}
