import { findOrchestrationRun, type OrchestrationRun } from '../../../db/orchestration-run-views.ts';
import type { Db } from '../../../db/index.ts';
import { createTurns } from '../../http/turns.ts';

/** Of the values of its state and of what people are asked, in bytes. What is longer takes some times as much while it is read. */
const short = 512 * 1024;
const turns = createTurns();

/**
 * The run with its state, or undefined when this account has none of this id. Long ones are read one at a time for each account.
 *
 * @throws HttpError 429 when `signal` is aborted before it is its turn.
 */
export async function readOrchestrationRun(
  db: Db,
  account_id: string,
  run_id: string,
  signal: AbortSignal,
): Promise<OrchestrationRun | undefined> {
  const run = await findOrchestrationRun(db, account_id, run_id, { most: short });
  if (!run?.is_cut) return run;
  return turns.take(account_id, () => findOrchestrationRun(db, account_id, run_id), signal);
}
