import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { findTime, type Db } from '../../db/index.ts';
import type { OutboxEntry } from '../../db/outbox.ts';
import { cancelAgain, failLostRun, listCancelled, listUnfinished } from '../../db/runs.ts';
import type { Engine } from './engine.ts';

const reconcileInterval = 10_000;
/** Runs lost while no API was there are found for this long. */
const lostRunsWindow = 24 * 3_600_000;

type Sides = { db: Db; engine: Engine; log: Logger; send: (entry: OutboxEntry | undefined) => void };

/**
 * Looks, until the signal is aborted, for runs that ended on one side only, so that none stays running for ever. `send`
 * delivers what the other side must hear.
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
async function failLost({ db, engine, send }: Sides): Promise<void> {
  const since = new Date((await findTime(db)).getTime() - lostRunsWindow);
  for (const run_id of await listUnfinished(db, await engine.listTerminated(since))) {
    if (await engine.isGone(run_id)) send(await failLostRun(db, run_id));
  }
}

/** Those that were cancelled here by a request that has not come through to Temporal. */
async function cancelUncancelled({ db, engine, log, send }: Sides): Promise<void> {
  for (const run_id of await engine.listUncancelled(await listCancelled(db))) {
    log.warn({ run_id }, 'cancelled, and Temporal does not know; told again');
    send(await cancelAgain(db, run_id));
  }
}
