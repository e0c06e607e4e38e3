import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { deleteExpiredKeys } from '../db/api-keys.ts';
import { deleteOldIdempotencyKeys } from '../db/idempotency-keys.ts';
import type { Db } from '../db/index.ts';
import { deleteExpiredManagedReservations } from '../db/managed-budget.ts';
import { deleteUnusedDefinitions } from '../db/orchestrations.ts';
import { deleteExpiredCooldowns } from '../db/provider-cooldowns.ts';
import { deleteRetiredSecrets } from '../db/webhooks.ts';

const interval = 10 * 60_000;

/**
 * Forgets, every ten minutes until the signal is aborted, what has expired or is needed no more. Nothing relies on it.
 */
export async function keepHouse({ db, log }: { db: Db; log: Logger }, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const deletions = [
      deleteOldIdempotencyKeys(db),
      deleteRetiredSecrets(db),
      deleteExpiredCooldowns(db),
      deleteExpiredManagedReservations(db),
      deleteUnusedDefinitions(db),
      deleteExpiredKeys(db),
    ];
    await Promise.all(deletions).catch((error) => log.warn({ err: error }, 'what has expired was not deleted'));
    await sleep(interval, undefined, { signal }).catch(() => {});
  }
}
