import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure, Context } from '@temporalio/activity';
import { releaseBudget, reserveBudget, warnOfBudget, type Budget } from '../db/budget.ts';
import type { Run } from '../db/schema.ts';
import { costUsd, inputText, mostTokensOf, type ModelRequest, type ModelTarget } from '../src/llm/index.ts';
import type { ActivityDeps } from './deps.ts';

/** The share of a limit after which a run's events say that it comes near. */
const warningShare = 0.8;
/** On top of a call's own deadline, for journalling its answer. */
const settleSeconds = 60;

/** The run whose budget a call spends. */
export type BudgetOfRun = Pick<Run, 'run_id' | 'max_cost_usd' | 'max_tokens'>;

/**
 * Reserves what a call may cost at most, so that the run stays within its limits; what settles it is the journal. Waits
 * while other calls hold what is left. A model without a known price counts by its tokens only. Returns false, and
 * nothing is reserved, for a run without limits.
 * @throws `BudgetExceeded` when what is left does not cover the call; its details are the number of approvals so far, and what
 * the run would have used with it.
 */
export async function reserve(
  deps: ActivityDeps,
  { run_id, max_cost_usd, max_tokens }: BudgetOfRun,
  call_id: string,
  target: ModelTarget,
  request: ModelRequest,
): Promise<boolean> {
  if (max_cost_usd === null && max_tokens === null) return false;
  const most = atMost(target, request);
  await reserveWhenFree(deps, async (seconds) => {
    const { outcome, ...budget } = await reserveBudget(deps.db, { run_id, call_id, ...most }, seconds);
    if (outcome === 'exceeded') throw exceeded(budget, most);
    return outcome;
  });
  return true;
}

/**
 * Reserves as soon as no other calls hold what is left. `tryTo` is told for how many seconds a reservation stands, and throws
 * when waiting would not help.
 */
export async function reserveWhenFree(
  { llm_timeout_ms }: ActivityDeps,
  tryTo: (seconds: number) => Promise<'reserved' | 'held'>,
): Promise<void> {
  const { cancellationSignal } = Context.current();
  const seconds = llm_timeout_ms / 1_000 + settleSeconds;
  for (let delay = 100; (await tryTo(seconds)) === 'held'; delay = Math.min(delay * 2, 2_000)) {
    await sleep(delay, undefined, { signal: cancellationSignal });
  }
}

/** Gives back what was reserved for a call that failed. */
export async function release({ db }: ActivityDeps, call_id: string): Promise<void> {
  // One that cannot be released ends by itself.
  await releaseBudget(db, call_id).catch(() => {});
}

/** Tells the readers of a run when a call has brought it near one of its limits. */
export async function warnOfSpending({ db, live }: ActivityDeps, { run_id }: BudgetOfRun): Promise<void> {
  await warnOfBudget(db, run_id, warningShare);
  live.changed(run_id);
}

/** The most that a call can use, with so many tokens of output. */
export function atMost(
  { vendor, model }: ModelTarget,
  request: ModelRequest,
  output_tokens = request.max_output_tokens,
) {
  const input_tokens = mostTokensOf(inputText(request));
  const cost_usd = costUsd({ vendor, model, input_tokens, output_tokens }) ?? 0;
  return { tokens: input_tokens + output_tokens, cost_usd };
}

function exceeded(budget: Budget, most: { tokens: number; cost_usd: number }): ApplicationFailure {
  const { max_cost_usd, max_tokens, used_cost_usd, used_tokens, approvals } = budget;
  const isCost = max_cost_usd !== null && used_cost_usd + most.cost_usd > max_cost_usd;
  const message = isCost
    ? `Cost limit exceeded: ${usd(used_cost_usd + most.cost_usd)} > max ${usd(max_cost_usd)}` +
      ` (${usd(used_cost_usd)} used, and the next call may cost ${usd(most.cost_usd)}).`
    : `Token limit exceeded: ${used_tokens + most.tokens} > max ${max_tokens}` +
      ` (${used_tokens} used, and the next call may use ${most.tokens}).`;
  const asked = { tokens: used_tokens + most.tokens, cost_usd: used_cost_usd + most.cost_usd };
  return ApplicationFailure.create({
    type: 'BudgetExceeded',
    message,
    nonRetryable: true,
    details: [approvals, asked],
  });
}

/** `$0.50`, and all digits down to a billionth where there are some: two amounts that differ look different. */
export function usd(amount: number): string {
  return new Intl.NumberFormat('en-US', {
    style: 'currency',
    currency: 'USD',
    minimumFractionDigits: 2,
    maximumFractionDigits: 9,
  }).format(amount);
}
