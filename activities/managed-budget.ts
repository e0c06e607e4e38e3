import { ApplicationFailure } from '@temporalio/activity';
import { releaseManaged, reserveManaged, type ManagedLimits } from '../db/managed-budget.ts';
import type { ModelRequest } from '../src/llm/index.ts';
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
