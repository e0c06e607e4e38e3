import { insertRunFiles } from '../../db/run-files.ts';
import type { StartTime } from '../../db/run-queue.ts';
import { hasRun, insertRun, type Redoing } from '../../db/run-starts.ts';
import type { NewAgentCall, NewRun, RunOrigin } from '../../db/schema.ts';
import type { Db } from '../../db/index.ts';
import type { GateTerms } from '../../workflows/contract/gate-terms.ts';
import { doingOf, type Principal, type Remark } from '../accounts/principal.ts';
import type { CheckAddress } from '../fetch/index.ts';
import { attachmentsAt, takeFiles } from '../files/attach.ts';
import type { FileDeps } from '../files/keep.ts';
import { newId, type IdSeed } from '../ids.ts';
import type { Outbox } from '../temporal/outbox.ts';
import { overQuota, quotaOf, type QuotaSettings } from './quotas.ts';

/** What starting a run takes, in any process. */
export type StartDeps = FileDeps & { outbox: Outbox; quotas: QuotaSettings; checkAddress: CheckAddress };

/** The row of a run, without whose it is. */
export type RunRequest = Omit<NewRun, 'account_id' | 'started_by' | 'mode'> & { origin: RunOrigin };

/** For its readers, who may not know with which key it was started. */
const ofTest = 'This is a test: the demo model answers, and no model is paid.';

function withWarning(warnings: string | undefined, warning: string): string {
  return JSON.stringify([warning, ...(JSON.parse(warnings ?? '[]') as string[])]);
}

/** What a run of any kind may be asked for beside what it is of. */
export type RunTerms = Partial<GateTerms> &
  Pick<NewRun, 'on_budget'> &
  Partial<Pick<NewRun, 'channel' | 'user_id' | 'webhook_url' | 'max_cost_usd' | 'max_tokens' | 'tags'>> & {
    metadata?: Record<string, string>;
  };

/** The same in its row. */
export function termsRow(run: RunTerms) {
  return {
    channel: run.channel ?? null,
    user_id: run.user_id ?? null,
    webhook_url: run.webhook_url ?? null,
    gate_due_in: run.gate_due_in ?? null,
    remind_every: run.remind_every ?? null,
    on_timeout: run.on_timeout,
    escalation_webhook_url: run.escalation_webhook_url ?? null,
    max_cost_usd: run.max_cost_usd ?? null,
    max_tokens: run.max_tokens ?? null,
    on_budget: run.on_budget,
    metadata: JSON.stringify(run.metadata ?? {}),
    tags: run.tags ?? [],
  };
}

/** What is to be written with a run that is given these files, beside `insertMore`; undefined when there is nothing. Throws as `takeFiles`. */
export async function withFiles(
  deps: FileDeps,
  principal: Principal,
  { run_id, attachments = [] }: { run_id: string; attachments?: string[] },
  insertMore?: Parameters<typeof insertRun>[4],
): Promise<Parameters<typeof insertRun>[4]> {
  if (attachments.length === 0) return insertMore;
  const files = await takeFiles(deps, principal, attachmentsAt(attachments));
  return async (trx) => {
    await insertRunFiles(trx, { run_id }, files);
    await insertMore?.(trx);
  };
}

/**
 * The run that was accepted by the first try of a request, which died without an answer; undefined of other requests. To be
 * looked for before anything that the request names, which may be gone by now.
 */
export async function findAccepted(
  db: Db,
  { account_id }: Principal,
  idempotency: IdSeed | undefined,
): Promise<string | undefined> {
  if (!idempotency?.isRetry) return undefined;
  const run_id = newId('run', idempotency);
  return (await hasRun(db, account_id, run_id)) ? run_id : undefined;
}

/**
 * Accepts a run: it will not be lost, and starts in the background; at `start`, when that is given, and when its account has
 * a place for it. `insertMore` is what comes with it, all or nothing.
 * A retry finds the run that its first try accepted. Throws `PROVIDER_REQUIRED` and `MONTHLY_LIMIT_REACHED` when the
 * account's quota is used up. What a test key starts, or does a test again, is a test, and counts against none. With `takes_no_place`
 * it begins however many runs of the account have.
 */
export async function startRun(
  { db, outbox, quotas }: Omit<StartDeps, 'files' | 'log'>,
  principal: Principal,
  {
    note,
    on_behalf_of,
    asks_no_model = false,
    takes_no_place = false,
    ...run
  }: RunRequest &
    Remark & {
      start: StartTime | undefined;
      redoing?: Redoing;
      agent_version?: string;
      call?: NewAgentCall;
      asks_no_model?: boolean;
      takes_no_place?: boolean;
    },
  idempotency: IdSeed | undefined,
  insertMore?: Parameters<typeof insertRun>[4],
): Promise<void> {
  const { account_id, key_id, mode } = principal;
  const { active, ...quota } = quotaOf(quotas, { provider_id: run.provider_id ?? null, mode, asks_no_model });
  const row = {
    ...run,
    ...(mode === 'test' && { start_warnings: withWarning(run.start_warnings, ofTest) }),
    account_id,
    started_by: key_id,
    mode,
    ...doingOf(principal, { note, on_behalf_of }),
  };
  const accepted = await outbox.accept(
    insertRun(db, row, takes_no_place ? quota : { ...quota, active }, idempotency, insertMore),
  );
  if (accepted.refused) throw await overQuota({ db, quotas }, account_id, accepted.refused);
  if (accepted.entry) outbox.send(accepted.entry);
  else outbox.begin(run.run_id);
}
