import type { Db } from '../../db/index.ts';
import { insertRun } from '../../db/runs.ts';
import type { NewRun, RunOrigin } from '../../db/schema.ts';
import type { Principal } from '../accounts/principal.ts';
import type { CheckAddress } from '../fetch/index.ts';
import type { IdSeed } from '../ids.ts';
import type { Outbox } from '../temporal/outbox.ts';
import { overQuota, quotaOf, type QuotaSettings } from './quotas.ts';

/** What starting a run takes, in any process. */
export type StartDeps = { db: Db; outbox: Outbox; quotas: QuotaSettings; checkAddress: CheckAddress };

/** The row of a run, without whose it is. */
export type RunRequest = Omit<NewRun, 'account_id' | 'started_by'> & { origin: RunOrigin };

/**
 * Accepts a run: it will not be lost, and starts in the background. `insertMore` is what comes with it, all or nothing.
 * A retry finds the run that its first try accepted. Throws `PROVIDER_REQUIRED` and `MONTHLY_LIMIT_REACHED` when the
 * account's quota is used up.
 */
export async function startRun(
  { db, outbox, quotas }: StartDeps,
  { account_id, key_id }: Principal,
  run: RunRequest,
  idempotency: IdSeed | undefined,
  insertMore?: Parameters<typeof insertRun>[4],
): Promise<void> {
  const quota = quotaOf(quotas, run.provider_id ?? null);
  const row = { ...run, account_id, started_by: key_id };
  const accepted = await outbox.accept(insertRun(db, row, quota, idempotency?.isRetry, insertMore));
  if (accepted.refused) throw await overQuota({ db, quotas }, account_id, accepted.refused);
  outbox.send(accepted.entry);
}
