import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { deleteOldIdempotencyKeys } from '../db/idempotency-keys.ts';
import type { Db } from '../db/index.ts';
import { deleteExpiredCooldowns } from '../db/provider-cooldowns.ts';
import { deleteRetiredSecrets } from '../db/webhooks.ts';

const interval = 10 * 60_000;

/** Forgets, every ten minutes, what has expired. Nothing relies on it: what has expired is not used any more. */
export function startHousekeeping({ db, log }: { db: Db; log: Logger }) {
  const stopping = new AbortController();

  async function loop(): Promise<void> {
    while (!stopping.signal.aborted) {
      const deletions = [deleteOldIdempotencyKeys(db), deleteRetiredSecrets(db), deleteExpiredCooldowns(db)];
      await Promise.all(deletions).catch((error) => log.warn({ err: error }, 'what has expired was not deleted'));
      await sleep(interval, undefined, { signal: stopping.signal }).catch(() => {});
    }
  }

  const running = loop();
  return {
    stop: () => {
      stopping.abort();
      return running;
    },
  };
}
