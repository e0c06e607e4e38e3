import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { findTime, type Db } from '../../db/index.ts';
import { cancelAgain, failLostRun, listCancelled, listUnfinished } from '../../db/runs.ts';
import type { Engine } from './engine.ts';
import type { Outbox } from './outbox.ts';

const reconcileInterval = 10_000;
/** Runs lost while no API was there are found for this long. */
const lostRunsWindow = 24 * 3_600_000;

type Sides = { db: Db; engine: Engine; outbox: Outbox; log: Logger };

/**
 * Looks, until the signal is aborted, for runs that ended on one side only, so that none stays running for ever. The
 * outbox tells Temporal what it must hear.
 */
export async function reconcile(sides: Sides, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await failLost(sides);
      await cancelUncancelled(sides);
    } catch (error) {
      sides.log.debug({ err: error }, 'cannot look for lost runs');
    }
    await sleep(reconcileInterval, undefined, { signal }).catch(() => {});
  }
}

/** Those that were terminated in Temporal behind our back. */
async function failLost({ db, engine, outbox }: Sides): Promise<void> {
  const since = new Date((await findTime(db)).getTime() - lostRunsWindow);
  for (const run_id of await listUnfinished(db, await engine.listTerminated(since))) {
    if (await engine.isGone(run_id)) outbox.send(await failLostRun(db, run_id));
  }
}

/** Those that were cancelled here by a request that has not come through to Temporal. */
async function cancelUncancelled({ db, engine, outbox, log }: Sides): Promise<void> {
  for (const run_id of await engine.listUncancelled(await listCancelled(db))) {
    log.warn({ run_id }, 'cancelled, and Temporal does not know; told again');
    outbox.send(await cancelAgain(db, run_id));
  }
}
