import { setTimeout as sleep } from 'node:timers/promises';
import type { Db } from '../../db/index.ts';
import type { LiveSender } from '../../db/live.ts';
import { emptyRun, purgeRun as purgeStoredRun } from '../../db/purges.ts';
import { hasEnded } from '../../workflows/contract/states.ts';
import type { Principal } from '../accounts/principal.ts';
import { DomainError, notFound } from '../errors.ts';

/** In milliseconds: what a run of many megabytes is made of is deleted after the answer. */
const longest = 1_000;

/**
 * Forgets a run that has ended: nobody finds it any more, and all that it is made of is deleted. Throws `NOT_FOUND`, and
 * `RUN_NOT_FINISHED` while it has not ended.
 */
export async function purgeRun(
  { db, live }: { db: Db; live: LiveSender },
  { account_id }: Principal,
  run_id: string,
): Promise<void> {
  const status = await purgeStoredRun(db, account_id, run_id);
  if (!status) throw notFound('Run');
  if (!hasEnded(status)) {
    const message = `The run is ${status}; only one that has ended is purged. Cancel it first.`;
    throw new DomainError('RUN_NOT_FINISHED', message, { members: { run_status: status } });
  }
  live.changed(run_id);
  // Whatever is left of it is found by `removePurged`.
  const emptied = emptyRun(db, run_id).catch(() => {});
  await Promise.race([emptied, sleep(longest, undefined, { ref: false })]);
}
