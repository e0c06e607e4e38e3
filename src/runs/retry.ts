import type { Db } from '../../db/index.ts';
import type { LiveSender } from '../../db/live.ts';
import type { TermsChange } from '../../db/run-changes.ts';
import { retryRun as retryStoredRun } from '../../db/run-retries.ts';
import type { Run } from '../../db/schema.ts';
import { doingOf, type Principal, type Remark } from '../accounts/principal.ts';
import { DomainError, notFound } from '../errors.ts';
import { newId, type IdSeed } from '../ids.ts';
import { requireCallable } from '../fetch/index.ts';
import { addressesOf } from './gate-terms.ts';
import { overQuota, quotaOf } from './quotas.ts';
import type { StartDeps } from './start.ts';
import { checkTermsChange, warningsOfOwnTerms } from './terms-change.ts';

/**
 * Goes on with a failed run, of whichever kind, where it stopped: what is done is not done again, and returns the number of
 * the try, and a warning of each gate that does not go by `change`. What is in `change`
 * is otherwise from then on. A retry of the request finds what its first try began. Throws `InvalidInputError`, `NOT_FOUND`, `RUN_NOT_FAILED`, `PROVIDER_REQUIRED`, for on the
 * operator's models a retry counts as a run, and `LimitReached` as for a new one.
 */
export async function retryRun(
  deps: StartDeps & { live: LiveSender; minReminderSeconds: number },
  principal: Principal,
  { run_id, change = {}, ...remark }: Remark & { run_id: string; change?: TermsChange },
  idempotency: IdSeed | undefined,
): Promise<{ attempt: number; warnings: string[] }> {
  const { db, outbox, live, quotas, minReminderSeconds } = deps;
  requireCallable(deps.checkAddress, addressesOf(change, []));
  const trialOf = (run: Run) => ({ ...quotaOf(quotas, run), monthly: 0 });
  const request_id = newId('request', idempotency);
  const { account_id } = principal;
  const request = { run_id, request_id, change, ...doingOf(principal, remark) };
  const check = (run: Run, trx: Db) => checkTermsChange(trx, run, change, minReminderSeconds);
  const retried = await retryStoredRun(db, account_id, request, check, trialOf);
  if (!retried) throw notFound('Run');
  if ('refused' in retried) throw await overQuota({ db, quotas }, account_id, retried.refused);
  if ('before' in retried) {
    const message = `The run is ${retried.before}; only one that has failed is tried again.`;
    throw new DomainError('RUN_NOT_FAILED', message, { members: { run_status: retried.before } });
  }
  const { attempt, of, entry } = retried;
  if (entry) outbox.send(entry);
  else outbox.begin(run_id);
  live.changed(run_id);
  return { attempt, warnings: await warningsOfOwnTerms(db, of, change) };
}
