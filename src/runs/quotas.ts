import type { Db } from '../../db/index.ts';
import type { RunQuota } from '../../db/run-starts.ts';
import type { Mode } from '../../db/schema.ts';
import { wayToModel } from '../agents/models.ts';
import { DomainError } from '../errors.ts';

/** How many runs an account may start. */

export type QuotaSettings = {
  /** Runs in a calendar month (UTC); 0 is no limit. */
  MONTHLY_RUN_LIMIT: number;
  /** Whether runs on the operator's models are counted, and how many there may be in all. */
  MANAGED_TRIAL_RUNS_ENABLED: boolean;
  MANAGED_TRIAL_RUNS_COUNT: number;
  /** Runs that have not ended, at once. */
  MAX_UNFINISHED_RUNS_PER_ACCOUNT: number;
  /** Runs that have begun and not ended, at once: more wait. Undefined is as many as there may be unfinished. */
  MAX_ACTIVE_RUNS_PER_ACCOUNT?: number;
};

/** What limits this run. Runs on the operator's models count against the trial where there is one; tests count as no runs. */
export function quotaOf(
  settings: QuotaSettings,
  { provider_id, mode, asks_no_model = false }: { provider_id: string | null; mode: Mode; asks_no_model?: boolean },
): RunQuota {
  const isLive = mode === 'live';
  const isTrial = isLive && provider_id === null && !asks_no_model && settings.MANAGED_TRIAL_RUNS_ENABLED;
  return {
    monthly: isLive ? settings.MONTHLY_RUN_LIMIT : 0,
    trial: isTrial ? settings.MANAGED_TRIAL_RUNS_COUNT : undefined,
    unfinished: settings.MAX_UNFINISHED_RUNS_PER_ACCOUNT,
    active: settings.MAX_ACTIVE_RUNS_PER_ACCOUNT,
  };
}

/** Why a start was refused, with the way out. */
export async function overQuota(
  { db, quotas }: { db: Db; quotas: QuotaSettings },
  account_id: string,
  refused: 'trial' | 'monthly',
): Promise<DomainError> {
  if (refused === 'trial') {
    const used = `All ${quotas.MANAGED_TRIAL_RUNS_COUNT} managed trial runs are used.`;
    return new DomainError('PROVIDER_REQUIRED', used, { way_out: await wayToModel(db, account_id) });
  }
  const now = new Date();
  const nextMonth = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1);
  return new DomainError('MONTHLY_LIMIT_REACHED', `All ${quotas.MONTHLY_RUN_LIMIT} runs of this month are used.`, {
    retry_after_seconds: (nextMonth - now.getTime()) / 1000,
  });
}
