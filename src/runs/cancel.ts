import type { Db } from '../../db/index.ts';
import type { LiveSender } from '../../db/live.ts';
import { cancelRun as cancelStoredRun } from '../../db/run-ends.ts';
import { doingOf, type Principal, type Remark } from '../accounts/principal.ts';
import { notFound, runFinished } from '../errors.ts';
import type { Outbox } from '../temporal/outbox.ts';

/**
 * Cancels a run for all its readers; Temporal follows. One that is cancelled already stays so. Throws `NOT_FOUND`, and
 * `RUN_FINISHED` when it has ended otherwise.
 */
export async function cancelRun(
  { db, outbox, live }: { db: Db; outbox: Outbox; live: LiveSender },
  principal: Principal,
  run_id: string,
  remark: Remark = {},
): Promise<void> {
  const cancelled = await cancelStoredRun(db, principal.account_id, run_id, doingOf(principal, remark));
  if (!cancelled) throw notFound('Run');
  const { before } = cancelled;
  if (before === 'completed' || before === 'failed') throw runFinished(before);
  outbox.send(cancelled.entry);
  outbox.ended(run_id);
  live.ended(run_id);
}
