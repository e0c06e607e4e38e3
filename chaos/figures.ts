import type { Evidence } from './evidence.ts';
import { starvedAnswers } from './invariants/effects.ts';
import { standstills } from './invariants/recovery.ts';
import type { AnswerTimes } from './journal.ts';

/** What was measured, and says as much of the machine as of Orchflow: printed, and never judged. */
export function figures(e: Evidence, { by_api, by_client }: AnswerTimes, recovery_ms: number): string[] {
  const longest = Math.max(0, ...standstills(e).map(({ ms }) => ms));
  const starved_ms = e.starved.reduce((sum, { waited_ms }) => sum + waited_ms, 0);
  return [
    `${by_api.length} answers, by the clock of their API: ${distribution(by_api)}`,
    `${by_client.length} answers, by the clock of their client: ${distribution(by_client)}`,
    `${seconds(starved_ms)} in which an API had no CPU, and ${starvedAnswers(e).length} answers in time but for that`,
    `${seconds(recovery_ms)} from healing until all had ended; one run stood still for ${seconds(longest)} of it`,
  ];
}

/** Such as "p50 4 ms, p99 1203 ms, at most 2011 ms". */
function distribution(times: number[]): string {
  const inOrder = times.toSorted((a, b) => a - b);
  const at = (share: number) => `${Math.round(inOrder[Math.ceil(inOrder.length * share) - 1] ?? 0)} ms`;
  return `p50 ${at(0.5)}, p99 ${at(0.99)}, at most ${at(1)}`;
}

const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`;
