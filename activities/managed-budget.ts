import { randomUUID } from 'node:crypto';
import { ApplicationFailure } from '@temporalio/activity';
import { countBrokenCall, releaseManaged, reserveManaged, type ManagedLimits } from '../db/managed-budget.ts';
import type { ModelRequest } from '../src/llm/index.ts';
import { keep } from './at-work.ts';
import { atMost, reserveWhenFree, usd } from './budget.ts';
import type { ActivityDeps } from './deps.ts';
import type { Model } from './providers.ts';

/** What tenants may spend of the operator's money. */

/** In words that are the same for every call, so that a run is warned once. */
const WORDS: Record<keyof ManagedLimits, (limit: string) => string> = {
  run: (limit) => `A run may spend ${limit} on this server's own models, and this one has.`,
  account: (limit) => `An account may spend ${limit} a month on this server's own models, and this one has.`,
  server: (limit) => `The ${limit} that this server spends on its own models in a month are used up.`,
};

/**
 * Reserves what a call of the operator's models may cost at most, and returns the function that gives it back. Waits while
 * other calls hold what is left. Where there are no such limits, the provider is the account's own, or the model the demo, it
 * does nothing.
 * @throws `ManagedBudgetUsedUp` when a limit leaves no room for the call.
 */
export async function reserveOfOperator(
  deps: ActivityDeps,
  call: { run_id: string; call_id: string },
  { provider_id, target }: Model,
  request: ModelRequest,
): Promise<() => Promise<void>> {
  const { db, managedLimits } = deps;
  const limits = Object.values(managedLimits);
  const isFree = provider_id !== null || target.vendor === 'demo';
  if (isFree || limits.every((limit) => limit === null)) return async () => {};
  const { cost_usd } = atMost(target, request);
  await reserveWhenFree(deps, async (seconds) => {
    const outcome = await reserveManaged(db, { ...call, cost_usd }, managedLimits, seconds);
    if (outcome === 'reserved' || outcome === 'held') return outcome;
    const message = `${WORDS[outcome](usd(managedLimits[outcome]!))} A provider of your own has no such limit.`;
    throw ApplicationFailure.nonRetryable(message, 'ManagedBudgetUsedUp');
  });
  // What cannot be given back ends by itself.
  return () => releaseManaged(db, call.call_id).catch(() => {});
}

/**
 * Counts what a request to one of the operator's models may have cost that gave no answer: what it has the model read, and
 * of the output what was streamed, or, where nothing of it is known, all that it may have. Never more than was reserved. Each
 * request is counted once, and the next try is another request.
 */
export async function countBroken(
  { db }: ActivityDeps,
  { run_id, call_id }: { run_id: string; call_id: string },
  { provider_id, target }: Model,
  request: ModelRequest,
  streamed_tokens = request.max_output_tokens,
): Promise<void> {
  if (provider_id !== null) return;
  const { cost_usd } = atMost(target, request, Math.min(streamed_tokens, request.max_output_tokens));
  if (cost_usd === 0) return;
  const broken = { broken_id: `${call_id}/${randomUUID()}`, run_id, cost_usd };
  // How the call failed matters more to who asked for it.
  await keep(() => countBrokenCall(db, broken)).catch(() => {});
}
