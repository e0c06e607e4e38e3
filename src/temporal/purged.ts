import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Db } from '../../db/index.ts';
import {
  claimPurgedRuns,
  emptyRun,
  notePurgedRunGoesOn,
  notePurgedRunIsOver,
  type PurgedRun,
} from '../../db/purges.ts';
import { cancelAgain } from '../../db/run-ends.ts';
import type { Engine } from './engine.ts';
import type { Outbox } from './outbox.ts';

const interval = 2_000;
const claimSize = 50;

type Sides = { db: Db; engine: Engine; outbox: Outbox; log: Logger };

/**
 * Deletes, until the signal is aborted, what is left of runs that are purged, once they are over in Temporal too. One that
 * goes on there all the same is cancelled: what it would work from is gone.
 */
export async function removePurged(sides: Sides, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const looked = await lookAtDue(sides, signal).catch((error: unknown) => {
      sides.log.debug({ err: error }, 'cannot see whether purged runs are over');
      return 0;
    });
    if (looked < claimSize) await sleep(interval, undefined, { signal }).catch(() => {});
  }
}

/** Returns how many were due. Those that it does not come to are due again. */
async function lookAtDue(sides: Sides, signal: AbortSignal): Promise<number> {
  const due = await claimPurgedRuns(sides.db, claimSize);
  for (const run of due) if (!signal.aborted) await lookAt(sides, run);
  return due.length;
}

async function lookAt({ db, engine, outbox }: Sides, { run_id, is_busy, may_send, is_late }: PurgedRun): Promise<void> {
  await emptyRun(db, run_id);
  const end = is_busy ? 'is_ending' : await engine.findEnd(run_id, may_send);
  if (end === 'over') return notePurgedRunIsOver(db, run_id);
  await notePurgedRunGoesOn(db, run_id);
  if (end === 'goes_on' && is_late) outbox.send(await cancelAgain(db, run_id));
}
