import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure, Context } from '@temporalio/activity';
import { findHeldAt } from '../db/holds.ts';
import { isUnavailable } from '../db/index.ts';
import { getAccountOf } from '../db/runs.ts';
import type { Signed } from '../db/progress.ts';
import { loadWork, NoSuchRun, TextsTooLong, type Work } from '../db/work.ts';
import type { FollowingProgress } from '../workflows/contract/completion.ts';
import { hasEnded, type Progress } from '../workflows/contract/states.ts';
import type { ActivityDeps } from './deps.ts';
import { paidInVain } from './failures.ts';
import { putOff, whileHeld, whileSuspended } from './places.ts';
import { tellOfFailure, tellOfSuccess } from './retrying.ts';
import { loadTexts } from './room.ts';

const heartbeatInterval = 2_000;

/**
 * An activity at work: writes the progress that rides with it, loads what it works from, and heartbeats, which keeps the
 * activity alive for the server and brings the cancellation. It takes one of the places of its account, or is put off;
 * so is all work of a run that is held, or of an account that is suspended, and what reads more than there is room for.
 */
export async function atWork<T>(
  deps: ActivityDeps,
  input: { run_id: string; task_id?: string; progress?: Progress },
  text_ids: (string | null)[],
  doIt: (work: Work) => Promise<T>,
): Promise<T> {
  const { db, live } = deps;
  const context = Context.current();
  const timer = setInterval(() => context.heartbeat(paidInVain()), heartbeatInterval);
  const ids = text_ids.filter((id) => id !== null);
  let leave: (() => void) | undefined;
  try {
    // What was put off before looks for a place first: what it works from may be long, and loaded in vain.
    const account_id = context.info.attempt > 1 ? await getAccountOf(db, input.run_id) : null;
    if (account_id !== null) leave = await takePlace(deps, input, account_id);
    const progress = input.progress && signed(input.progress);
    const work = await loadWork(db, input.run_id, ids, deps.max_run_bytes, progress).catch((error: unknown) => {
      const isFinal = error instanceof TextsTooLong || error instanceof NoSuchRun;
      throw isFinal ? ApplicationFailure.nonRetryable(error.message, error.name) : error;
    });
    if (input.progress) live.changed(input.run_id);
    // Cancelled for its readers, or purged: Temporal's request is on its way here, and nothing more may be paid for.
    // Completed, it is by an attempt of this activity that could not report it.
    if (!work || (hasEnded(work.run.status) && work.run.status !== 'completed')) return await context.cancelled;
    leave ??= await takePlace(deps, input, work.run.account_id);
    return await telling(deps, input, { work, text_ids: ids }, doIt);
  } finally {
    leave?.();
    clearInterval(timer);
  }
}

/** @throws `WorkQueued` when there is none for the account, and readers are told. */
async function takePlace(
  deps: ActivityDeps,
  input: { run_id: string; task_id?: string },
  account_id: string,
): Promise<() => void> {
  const leave = deps.places.take(account_id);
  if (leave) return leave;
  const lent = await deps.lend?.(input.run_id, account_id);
  if (lent?.leave) return lent.leave;
  const message = 'Much work of this account is under way; this waits until there is room.';
  const failure = putOff('WorkQueued', message, lent?.pause_ms ?? deps.places.pause(account_id));
  await tellOfFailure(deps, input, failure);
  throw failure;
}

/** As the execution that this activity is of writes it. */
export function signed<P extends Progress | FollowingProgress>(progress: P): Signed<P> {
  return { ...progress, writer: Context.current().info.workflowExecution!.runId };
}

async function telling<T>(
  deps: ActivityDeps,
  input: { run_id: string; task_id?: string },
  { work, text_ids }: { work: Work; text_ids: string[] },
  doIt: (work: Work) => Promise<T>,
): Promise<T> {
  work.room = deps.places.roomFor(work.run.account_id);
  try {
    // The run of an orchestration has a clock, and so have most of its steps, and agents that run alone.
    if (work.suspended_ms !== null) throw whileSuspended(work.suspended_ms, work.run.kind !== 'goal');
    if (work.run.held_at) throw whileHeld(work.run.held_at);
    await loadTexts(deps.db, work, text_ids);
    const result = await doIt(work);
    await tellOfSuccess(deps, input, work.run.retrying);
    return result;
  } catch (error) {
    await tellOfFailure(deps, input, error, work);
    throw error;
  } finally {
    work.room.leave();
  }
}

/**
 * Before a further call of an activity: when the run was held meanwhile, it is put off as it would have been at its beginning, and
 * finds what was paid for in the journal.
 */
export async function requireNotHeld({ db }: ActivityDeps, run_id: string): Promise<void> {
  const held_at = await findHeldAt(db, run_id);
  if (held_at) throw whileHeld(held_at);
}

/** What was paid for, or done, is held here while Postgres is away, and not thrown away. */
export async function keep<T>(write: () => Promise<T>): Promise<T> {
  const { cancellationSignal } = Context.current();
  for (let delay = 100; ; delay = Math.min(delay * 2, 5_000)) {
    try {
      return await write();
    } catch (error) {
      if (cancellationSignal.aborted || !isUnavailable(error)) throw error;
      await sleep(delay, undefined, { signal: cancellationSignal });
    }
  }
}
