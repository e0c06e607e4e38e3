import type { LiveSender } from '../../db/live.ts';
import { retryRun } from '../../db/orchestration-runs.ts';
import type { Principal } from '../accounts/principal.ts';
import { DomainError, notFound } from '../errors.ts';
import { newId, type IdSeed } from '../ids.ts';
import { overQuota, quotaOf } from '../runs/quotas.ts';
import type { StartDeps } from '../runs/start.ts';

/**
 * Goes on with a failed run of an orchestration where it stopped: steps that are done are not done again. A retry of the
 * request finds what its first try began. Throws `NOT_FOUND`, `RUN_NOT_FAILED` when the run has not failed, and
 * `PROVIDER_REQUIRED`: on the operator's models a retry counts as a run. `LimitReached` as for a new one.
 */
export async function retryOrchestration(
  { db, outbox, live, quotas }: StartDeps & { live: LiveSender },
  { account_id }: Principal,
  run_id: string,
  idempotency: IdSeed | undefined,
): Promise<void> {
  const trialOf = (provider_id: string | null) => ({ ...quotaOf(quotas, provider_id), monthly: 0 });
  const request_id = newId('request', idempotency);
  const retried = await retryRun(db, account_id, { run_id, request_id }, trialOf);
  if (!retried) throw notFound('Run');
  const { before, refused, entry } = retried;
  if (refused) throw await overQuota({ db, quotas }, account_id, refused);
  if (before !== 'failed' && !idempotency?.isRetry) {
    const message = `The run is ${before}; only one that has failed is tried again.`;
    throw new DomainError('RUN_NOT_FAILED', message, { members: { run_status: before } });
  }
  outbox.send(entry);
  live.changed(run_id);
}
