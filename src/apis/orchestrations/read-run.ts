import { findOrchestrationRun, type OrchestrationRun } from '../../../db/orchestration-run-views.ts';
import type { Db } from '../../../db/index.ts';
import { createHeavyTurns, type Leave, type Turns } from '../../http/turns.ts';

/** Of the values of its state and of what people are asked, in bytes. What is longer takes some times as much while it is read. */
const short = 512 * 1024;
const turns = createHeavyTurns();

/** Waits for the turn of a state that is long; others have none. */
export type Enter = (turns: Turns, account_id: string) => Promise<Leave>;

type Turn = {
  enter: Enter;
  /** Throws where it shall not be read any more by the time that it is its turn. */
  mayRead?: () => void;
};

/**
 * The run with its state, or undefined when this account has none of this id. Long ones are read one at a time for each account.
 *
 * @throws what `enter` and `mayRead` throw.
 */
export async function readOrchestrationRun(
  db: Db,
  account_id: string,
  run_id: string,
  { enter, mayRead = () => {} }: Turn,
): Promise<OrchestrationRun | undefined> {
  const run = await findOrchestrationRun(db, account_id, run_id, { most: short });
  if (!run?.is_cut) return run;
  const leave = await enter(turns, account_id);
  try {
    mayRead();
    return await findOrchestrationRun(db, account_id, run_id);
  } finally {
    leave();
  }
}
