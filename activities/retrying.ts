import { ApplicationFailure, Context } from '@temporalio/activity';
import { isUnavailable } from '../db/index.ts';
import { forgetRetrying, insertFailedTry, tellRetrying } from '../db/retrying.ts';
import type { Run } from '../db/schema.ts';
import { heldPause } from '../workflows/contract/steering.ts';
import type { Work } from '../db/work.ts';
import type { ActivityDeps } from './deps.ts';

/**
 * Between two tries of an activity no workflow is at work, so the activity itself tells the readers of a run that it is
 * tried again, why, and when next.
 */

/** A call that will have waited so long by its next try is told of. */
const patience_ms = 30_000;
/** As `workflows/model-activities.ts` has Temporal wait where a failure does not say how long. */
const longestPause_ms = 30_000;
const maxReason = 500;

type Input = { run_id: string; task_id?: string; answer_id?: string; position?: number };

/** What readers know an activity by. */
const NAMES: Record<string, string> = {
  splitTasks: 'The plan',
  inferDeps: 'The plan',
  finalizeRun: 'The final output',
};

/** What is no failure of a call. */
const WAITS: Record<string, string> = {
  WorkQueued: 'waits for its turn',
  AccountSuspended: 'waits',
  AgentAtWork: 'waits for an agent that it has called',
};

/** Tells of a try that failed, when it is time to; of one that was the last, that it is over. */
export async function tellOfFailure(
  { db, live }: ActivityDeps,
  input: Input,
  error: unknown,
  work?: Pick<Work, 'run' | 'second_call_at'>,
): Promise<void> {
  const { info, cancellationSignal } = Context.current();
  if (cancellationSignal.aborted) return;
  const failure = error instanceof ApplicationFailure ? error : undefined;
  // What is refused for that is tried again by its workflow.
  const isSuspended = failure?.type === 'AccountSuspended' && failure.details?.[1] !== heldPause;
  if (failure?.nonRetryable && !isSuspended) return tellOfSuccess({ db, live }, input, work?.run.retrying ?? {});
  const now = Date.now();
  const wait_ms = Number(failure?.nextRetryDelay ?? Math.min(1_000 * 2 ** (info.attempt - 1), longestPause_ms));
  // At the first try, what an answered call took before this one is no wait for it.
  const since_ms = (info.attempt === 1 && work?.second_call_at) || info.scheduledTimestampMs;
  const lasts_ms = now + wait_ms - since_ms;
  const type = failure?.type ?? 'Internal';
  // What is no failure of a provider is ours, and may name what is inside.
  const message = failure?.message ?? 'Something fails that only the operator of this server sees.';
  const reason = message.slice(0, maxReason).toWellFormed();
  if (!Object.hasOwn(WAITS, type) && !isUnavailable(error)) await keepTry(db, input, reason);
  if (lasts_ms < patience_ms) return;

  const since = new Date(since_ms).toISOString();
  const next_try_at = new Date(now + wait_ms).toISOString();
  const { attempt: tries } = info;
  const { task_id = null } = input;
  const what = NAMES[info.activityType] ?? task_id ?? 'A call of a tool';
  const why = WAITS[type] ?? 'waits: a call fails, and is tried again';
  const warning =
    `${what} ${why} (${tries} ${tries === 1 ? 'try' : 'tries'} since ${since}, ` +
    `the next at ${next_try_at}). ${reason}`;
  // Told again when it has lasted twice as long, or fails in another way.
  const key = [info.workflowExecution?.runId, info.activityId, type, Math.floor(Math.log2(lasts_ms / patience_ms))];
  const data = { task_id, reason, tries, since, next_try_at };
  const event = { key: `call.retrying/${key.join('/')}`, type: 'call.retrying' as const, data };
  const told = { call: callOf(input), warning: warning.toWellFormed(), event };
  // Readers who miss it are told at the next try.
  await tellRetrying(db, input.run_id, told).catch(() => {});
  live.changed(input.run_id);
}

/** For the trace of its run. It is nothing that a run waits for. */
async function keepTry(db: ActivityDeps['db'], input: Input, reason: string): Promise<void> {
  const { run_id, task_id = null } = input;
  const { workflowExecution, activityId, attempt: tries } = Context.current().info;
  const try_key = [workflowExecution?.runId, activityId, tries].join('/');
  await insertFailedTry(db, { run_id, try_key, task_id, tries, reason }).catch(() => {});
}

/** Takes back what was told of earlier tries. */
export async function tellOfSuccess(
  { db, live }: Pick<ActivityDeps, 'db' | 'live'>,
  input: Input,
  retrying: Run['retrying'],
): Promise<void> {
  if (!Object.hasOwn(retrying, callOf(input))) return;
  await forgetRetrying(db, input.run_id, callOf(input)).catch(() => {});
  live.changed(input.run_id);
}

function callOf({ task_id, answer_id, position }: Input): string {
  const { activityType } = Context.current().info;
  return [activityType, task_id, answer_id, position].filter((part) => part !== undefined).join('/');
}
