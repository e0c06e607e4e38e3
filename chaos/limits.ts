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
  agents: 6,
  redeliveries: 5,
  subscriptions: 4,
  /** Active runs: enough for those who start one after another, and too few for who starts many at once. */
  activeRuns: 8,
  /** Files that are on their way, in each API. */
  uploads: 6,
  registrations: 20,
  stateValue: 300_000,
  runText: 32 * 1024 * 1024,
};

/** What an agent that calls others may spend on one call, and on all of them, in US cents; and how many calls may follow each other below it. */
export const caps = { per_call: 20, all: 50, hops: 4 };

/** How long a busy disk may take to keep a file, in seconds: that is no part of the time of an answer. */
export const keepingSeconds = 20;

/** What one account has of the places while it is alone: with the rest, a quarter of what it has, others begin. */
export const placesOfOne = (limits.places * 4) / 5;

/** Limits that those who mean no harm would come to if they were fixed: `runs` is how many runs they start together. */
export function limitsFor(runs: number) {
  return {
    unfinishedRuns: Math.max(runs, 10) + 10,
    requestsPerMinute: 80 * (runs + 10),
    files: 40 + 4 * runs,
    fileBytes: (32 + runs) * 1024 * 1024,
  };
}

export type RunLimits = ReturnType<typeof limitsFor>;

/** What APIs and workers are told of all this. */
export function environmentOf({
  unfinishedRuns,
  requestsPerMinute,
  files,
  fileBytes,
}: RunLimits): Record<string, string> {
  return {
    WORKER_PLACES: String(limits.places),
    MAX_OPEN_ANSWERS_PER_ACCOUNT: String(limits.openAnswers),
    MAX_UNFINISHED_RUNS_PER_ACCOUNT: String(unfinishedRuns),
    MAX_ACTIVE_RUNS_PER_ACCOUNT: String(limits.activeRuns),
    MAX_FILES_PER_ACCOUNT: String(files),
    MAX_FILE_BYTES_PER_ACCOUNT: String(fileBytes),
    MAX_UPLOADS_PER_ACCOUNT: String(limits.uploads),
    MAX_PROVIDERS_PER_ACCOUNT: String(limits.providers),
    MAX_MCP_SERVERS_PER_ACCOUNT: String(limits.mcpServers),
    MAX_ORCHESTRATIONS_PER_ACCOUNT: String(limits.orchestrations),
    MAX_AGENTS_PER_ACCOUNT: String(limits.agents),
    MAX_REDELIVERIES_PER_ACCOUNT: String(limits.redeliveries),
    MAX_WEBHOOK_SUBSCRIPTIONS_PER_ACCOUNT: String(limits.subscriptions),
    MAX_STATE_VALUE_CHARACTERS: String(limits.stateValue),
    MAX_RUN_TEXT_BYTES: String(limits.runText),
    RATE_LIMIT_PER_MINUTE: String(requestsPerMinute),
    REGISTER_LIMIT_PER_HOUR: String(limits.registrations),
  };
}
