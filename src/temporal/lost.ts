import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { finishIndexing, listUnfinishedIndexings } from '../../db/indexings.ts';
import { findTime, type Db } from '../../db/index.ts';
import { cancelAgain, endLostRun, listCancelled, listUnfinished } from '../../db/run-ends.ts';
import type { Engine } from './engine.ts';
import type { Outbox } from './outbox.ts';

const interval = 10_000;
/** Runs and documents lost while no API was there are found for this long. */
const lostRunsWindow = 24 * 3_600_000;

/** Why a run has failed that was ended in Temporal from outside. */
export const terminated = 'The workflow of this run was terminated in Temporal.';

/** Why a document has failed whose indexing was. */
export const indexingTerminated = 'Its indexing was terminated by the operator of this server.';

type Sides = { db: Db; engine: Engine; outbox: Outbox; log: Logger };

/**
 * Looks, until the signal is aborted, for runs and documents that ended on one side only, so that none stays running for ever. The
 * outbox tells Temporal what it must hear.
 */
export async function endLost(sides: Sides, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await failLost(sides);
      await failLostIndexings(sides);
      await cancelUncancelled(sides);
    } catch (error) {
      sides.log.debug({ err: error }, 'cannot look for lost runs');
    }
    await sleep(interval, undefined, { signal }).catch(() => {});
  }
}

/** Those that were terminated in Temporal behind our back. */
async function failLost({ db, engine }: Sides): Promise<void> {
  const since = new Date((await findTime(db)).getTime() - lostRunsWindow);
  for (const run_id of await listUnfinished(db, await engine.listTerminated(since))) {
    if (await engine.isGone(run_id)) await endLostRun(db, run_id, { status: 'failed', error: terminated });
  }
}

/** The documents whose indexing was terminated in the same way. */
async function failLostIndexings({ db, engine }: Sides): Promise<void> {
  const since = new Date((await findTime(db)).getTime() - lostRunsWindow);
  for (const document of await listUnfinishedIndexings(db, await engine.listTerminatedIndexings(since))) {
    if (await engine.isIndexingGone(document)) await finishIndexing(db, document, indexingTerminated);
  }
}

/** Those that were cancelled here by a request that has not come through to Temporal. */
async function cancelUncancelled({ db, engine, outbox, log }: Sides): Promise<void> {
  for (const run_id of await engine.listUncancelled(await listCancelled(db))) {
    log.warn({ run_id }, 'cancelled, and Temporal does not know; told again');
    outbox.send(await cancelAgain(db, run_id));
  }
}
