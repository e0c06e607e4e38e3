import type { Context } from 'hono';
import { cancelRun } from '../../db/runs.ts';
import type { AppEnv } from '../deps.ts';
import { ApiError, notFound } from '../http/problems.ts';

/** Cancels a run for all its readers; Temporal follows. Throws 404, and 409 when it has ended otherwise. */
export async function answerCancelled(c: Context<AppEnv>, run_id: string) {
  const { db, outbox, live } = c.var.deps;
  const cancelled = await cancelRun(db, c.var.accountId, run_id);
  if (!cancelled) throw notFound('Run');
  if (cancelled.before === 'completed' || cancelled.before === 'failed') {
    throw new ApiError('RUN_FINISHED', `The run is ${cancelled.before}.`, { run_status: cancelled.before });
  }
  outbox.send(cancelled.entry);
  live.changed(run_id);
  return c.json({ run_id, status: 'cancelled' as const, message: 'Run cancelled.' }, 200);
}
