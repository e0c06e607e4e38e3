import { setTimeout as sleep } from 'node:timers/promises';
import { deleteExpiredKeys } from '../db/api-keys.ts';
import { forgetLostWorkers } from '../db/code-workers.ts';
import { removeGoneChunks } from '../db/chunks.ts';
import { deleteOldIdempotencyKeys } from '../db/idempotency-keys.ts';
import type { Db } from '../db/index.ts';
import { deleteExpiredManagedReservations, foldManaged } from '../db/managed-budget.ts';
import { deleteExpiredGrants } from '../db/oauth.ts';
import { deleteUnusedDefinitions } from '../db/orchestrations.ts';
import { deleteExpiredCooldowns } from '../db/provider-cooldowns.ts';
import { deleteOldAccountCalls } from '../db/llm-calls.ts';
import { purgeOldRuns } from '../db/purges.ts';
import { foldUsage } from '../db/usage.ts';
import { deleteRetiredSecrets } from '../db/webhook-secrets.ts';
import { deleteOldAccountDeliveries } from '../db/webhooks.ts';
import { removeUnusedBundles } from './code/bundles.ts';
import { removeDeletedFiles, type FileDeps } from './files/keep.ts';

const interval = 10 * 60_000;
/** So many runs are looked for at once, and so many go in each round, so that what else there is to do is done. */
const batch = 100;
const mostPurged = 10_000;
const mostFolded = 5_000;

/** `RUN_RETENTION_DAYS`: so long after its end a run is purged, and so old is what is of no run; undefined is never. */
type House = FileDeps & { config: { RUN_RETENTION_DAYS?: number } };

/**
 * Forgets, every ten minutes until the signal is aborted, what has expired or is needed no more. Nothing relies on it.
 */
export async function keepHouse({ db, files, log, config }: House, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const deletions = [
      deleteOldIdempotencyKeys(db),
      deleteRetiredSecrets(db),
      deleteExpiredCooldowns(db),
      deleteExpiredManagedReservations(db),
      deleteUnusedDefinitions(db),
      deleteExpiredKeys(db),
      deleteExpiredGrants(db),
      removeGoneChunks(db, signal),
      removeDeletedFiles({ db, files, log }, signal),
      removeUnusedBundles({ db, files }, signal),
      forgetLostWorkers(db),
      foldAll(db, signal),
      foldManaged(db),
      purgeOld(db, config.RUN_RETENTION_DAYS, signal),
    ];
    await Promise.all(deletions).catch((error) => log.warn({ err: error }, 'what has expired was not deleted'));
    await sleep(interval, undefined, { signal }).catch(() => {});
  }
}

async function purgeOld(db: Db, days: number | undefined, signal: AbortSignal): Promise<void> {
  if (days === undefined) return;
  for (let purged = 0; purged < mostPurged && !signal.aborted; purged += batch) {
    if ((await purgeOldRuns(db, days, batch)) < batch) break;
  }
  await deleteOldAccountCalls(db, days, signal);
  await deleteOldAccountDeliveries(db, days, signal);
}

/** Adds up what was counted, until there is little left of it. */
async function foldAll(db: Db, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && (await foldUsage(db, mostFolded)) === mostFolded);
}
