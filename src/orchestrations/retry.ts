import type { Db } from '../../db/index.ts';
import type { LiveSender } from '../../db/live.ts';
import { retryRun } from '../../db/orchestration-retries.ts';
import type { Principal } from '../accounts/principal.ts';
import { DomainError, notFound } from '../errors.ts';
import type { IdSeed } from '../ids.ts';
import type { Outbox } from '../temporal/outbox.ts';

/**
 * Goes on with a failed run of an orchestration where it stopped: steps that are done are not done again. A retry of the
 * request finds what its first try began. Throws `NOT_FOUND`, and `RUN_NOT_FAILED` when the run has not failed.
 */
export async function retryOrchestration(
  { db, outbox, live }: { db: Db; outbox: Outbox; live: LiveSender },
  { account_id }: Principal,
  run_id: string,
  idempotency: IdSeed | undefined,
): Promise<void> {
  const retried = await retryRun(db, account_id, run_id);
  if (!retried) throw notFound('Run');
  const { before, entry } = retried;
  if (before !== 'failed' && !idempotency?.isRetry) {
    const message = `The run is ${before}; only one that has failed is tried again.`;
    throw new DomainError('RUN_NOT_FAILED', message, { members: { run_status: before } });
  }
  outbox.send(entry);
  live.changed(run_id);
}
