/**
 * What an account may have of everything in a run of chaos: little enough for one account to come to each limit on a small
 * machine, and enough for those that mean no harm.
 */
export const limits = {
  /** Of calls and computations in a worker. */
  places: 40,
  /** Streams and waits, in each API. */
  openAnswers: 12,
  providers: 8,
  mcpServers: 4,
  orchestrations: 10,
  redeliveries: 5,
  registrations: 20,
  stateValue: 300_000,
  runText: 32 * 1024 * 1024,
};

/** What one account has of the places while it is alone: with the rest, a quarter of what it has, others begin. */
export const placesOfOne = (limits.places * 4) / 5;

/** Limits that those who mean no harm would come to if they were fixed: `runs` is how many runs they start together. */
export function limitsFor(runs: number) {
  return { unfinishedRuns: runs + 10, requestsPerMinute: 80 * runs };
}

export type RunLimits = ReturnType<typeof limitsFor>;
