import { ApplicationFailure, Context } from '@temporalio/activity';
import { LlmError, type LlmErrorType } from '../src/llm/index.ts';

/** From what went wrong with a model, to what Temporal is to make of it: try again, and when, or give up. */

/** Failures that cost money each time: after this many a person decides. */
const paidFailures: LlmErrorType[] = ['LlmBadResponse', 'LlmTruncatedStream', 'LlmTimeout'];
const maxPaidFailures = 4;

/** With these a provider will not take this run's calls however often it is asked: the next one may. */
const refusals = ['LlmQuotaExhausted', 'LlmAuth', 'ProviderInactive', 'ProviderKeyUnreadable', 'ManagedBudgetUsedUp'];

/** However long a provider is blocked: so often a call looks whether it still is, and still the one to ask. */
const longestDelay_ms = 5 * 60_000;

/** The failure of a provider that refuses this call for good, so that the next one may be asked. Every other one is thrown. */
export function refusalOf(error: unknown, call_id: string): ApplicationFailure {
  const failure = error instanceof LlmError ? toFailure(error, call_id) : error;
  if (failure instanceof ApplicationFailure && refusals.includes(failure.type!)) return failure;
  throw failure;
}

/** When the last provider has refused as well: what all of them said. */
export function refusedByAll(failures: ApplicationFailure[]): ApplicationFailure {
  const message = failures.map((failure) => failure.message).join(' ');
  return ApplicationFailure.nonRetryable(message, failures[0]!.type);
}

/** Counts what was paid for in vain, for the attempts that follow. */
function toFailure({ type, message, retryable, retry_after_ms }: LlmError, call_id: string): ApplicationFailure {
  const isPaid = paidFailures.includes(type);
  const before = paidInVain();
  const failures = (before && before.call_id === call_id ? before.failures : 0) + (isPaid ? 1 : 0);
  // One that was paid for ends the activity at once: its regular heartbeats would bring back the count from before.
  if (failures > 0) Context.current().heartbeat({ call_id, failures } satisfies PaidInVain);
  const delay = retry_after_ms ?? (isPaid ? 1_000 * 2 ** (failures - 1) : undefined);
  const nonRetryable = !retryable || failures >= maxPaidFailures;
  return ApplicationFailure.create({ type, message, nonRetryable, nextRetryDelay: delay && retryDelay(delay) });
}

/** How often the call was paid for in vain that failed last. An activity may make two, and each has its own count. */
type PaidInVain = { call_id: string; failures: number };

/**
 * A retry finds what was heartbeat last. Its number of attempts would count the waits as well. 0 when there is nothing to
 * count: workers of 0.1.0 read a number.
 */
export function paidInVain(): PaidInVain | 0 {
  const details: unknown = Context.current().info.heartbeatDetails;
  return details && typeof details === 'object' ? (details as PaidInVain) : 0;
}

/** Spread out, so that calls that were held back together do not come back together. */
export function retryDelay(ms: number): number {
  return Math.ceil(Math.min(ms, longestDelay_ms) * (1 + Math.random() / 10));
}
