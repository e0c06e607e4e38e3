import { findDelay, type Delay } from '../../db/holds.ts';
import type { Db } from '../../db/index.ts';
import type { PendingFor } from '../../db/run-queue.ts';
import type { QuotaSettings } from './quotas.ts';

/** How a run goes on, in a sentence; of one that has not begun, what it waits for, and when it was asked to begin. */
export type GoingOn = { how: string; pending_for?: PendingFor; start_at?: string };

/** How a run goes on to which something was said, or that was accepted; undefined: one that is not found any more. */
export function goingOnOf(delay: Delay | undefined): GoingOn {
  if (!delay?.pending_for) {
    return { how: delay?.held_at ? 'The run is held, and goes on when it is released.' : 'The run goes on.' };
  }
  const { pending_for, start_at } = delay;
  const how = {
    start_at: `The run is accepted, and begins at ${start_at}.`,
    place: 'The run is accepted, and begins when the account has a place for it.',
    release: 'The run is held, and begins when it is released.',
  };
  return { how: how[pending_for], pending_for, ...(start_at && { start_at }) };
}

export type GoingOnDeps = { db: Db; quotas: Pick<QuotaSettings, 'MAX_ACTIVE_RUNS_PER_ACCOUNT'> };

/** The same of a run that was not read yet. One for which there is a place goes on. */
export async function findGoingOn({ db, quotas }: GoingOnDeps, run_id: string): Promise<GoingOn> {
  return goingOnOf(await findDelay(db, run_id, quotas.MAX_ACTIVE_RUNS_PER_ACCOUNT));
}
