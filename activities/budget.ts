import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure, Context } from '@temporalio/activity';
import { releaseBudget, reserveBudget, warnOfBudget, type Budget } from '../db/budget.ts';
import type { Run } from '../db/schema.ts';
import { costUsd, inputText, type ModelRequest, type ModelTarget } from '../src/llm/index.ts';
import type { ActivityDeps } from './deps.ts';

/** The share of a limit after which a run's events say that it comes near. */
const warningShare = 0.8;
/** On top of a call's own deadline, for journalling its answer. */
const settleSeconds = 60;

/**
 * Makes a call within the run's limits: what it may cost at most is reserved before it, and settled by the journal.
 * Waits while other calls hold what is left. A model without a known price counts by its tokens only.
 * @throws `BudgetExceeded` when what is left does not cover the call; its detail is the number of approvals so far.
 */
export async function withinBudget<T>(
  { db, live, llm_timeout_ms }: ActivityDeps,
  run: Run,
  call: { call_id: string; target: ModelTarget; request: Omit<ModelRequest, 'idempotency_key'> },
  makeCall: () => Promise<T>,
): Promise<T> {
  const { run_id, max_cost_usd, max_tokens } = run;
  if (max_cost_usd === null && max_tokens === null) return makeCall();

  const { cancellationSignal } = Context.current();
  const { call_id } = call;
  const most = atMost(call.target, call.request);
  const reservation = { run_id, call_id, ...most };
  for (let delay = 100; ; delay = Math.min(delay * 2, 2_000)) {
    const { outcome, ...budget } = await reserveBudget(db, reservation, llm_timeout_ms / 1_000 + settleSeconds);
    if (outcome === 'reserved') break;
    if (outcome === 'exceeded') throw exceeded(budget, most);
    await sleep(delay, undefined, { signal: cancellationSignal });
  }
  try {
    const result = await makeCall();
    await warnOfBudget(db, run_id, warningShare);
    live.changed(run_id);
    return result;
  } catch (error) {
    // One that cannot be released ends by itself.
    await releaseBudget(db, call_id).catch(() => {});
    throw error;
  }
}

/** The most that a call can use. Three bytes a token: four are usual in English, three in Chinese. */
function atMost({ vendor, model }: ModelTarget, request: Omit<ModelRequest, 'idempotency_key'>) {
  const { max_output_tokens } = request;
  const input_tokens = Math.ceil(Buffer.byteLength(inputText(request)) / 3);
  const cost_usd = costUsd({ vendor, model, input_tokens, output_tokens: max_output_tokens }) ?? 0;
  return { tokens: input_tokens + max_output_tokens, cost_usd };
}

function exceeded(budget: Budget, most: { tokens: number; cost_usd: number }): ApplicationFailure {
  const { max_cost_usd, max_tokens, used_cost_usd, used_tokens, approvals } = budget;
  const isCost = max_cost_usd !== null && used_cost_usd + most.cost_usd > max_cost_usd;
  const message = isCost
    ? `Cost limit exceeded: ${usd(used_cost_usd + most.cost_usd)} > max ${usd(max_cost_usd)}` +
      ` (${usd(used_cost_usd)} used, and the next call may cost ${usd(most.cost_usd)}).`
    : `Token limit exceeded: ${used_tokens + most.tokens} > max ${max_tokens}` +
      ` (${used_tokens} used, and the next call may use ${most.tokens}).`;
  return ApplicationFailure.create({ type: 'BudgetExceeded', message, nonRetryable: true, details: [approvals] });
}

/** `$0.50`, and the cents of a cent where there are some. */
function usd(amount: number): string {
  return new Intl.NumberFormat('en-US', {
    style: 'currency',
    currency: 'USD',
    minimumFractionDigits: 2,
    maximumFractionDigits: 6,
  }).format(amount);
}
