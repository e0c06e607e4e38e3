import type { Db } from '../../db/index.ts';
import type { LiveSender } from '../../db/live.ts';
import { cancelRun as cancelStoredRun } from '../../db/runs.ts';
import type { Principal } from '../accounts/principal.ts';
import { DomainError, notFound } from '../errors.ts';
import type { Outbox } from '../temporal/outbox.ts';

/**
 * Cancels a run for all its readers; Temporal follows. One that is cancelled already stays so. Throws `NOT_FOUND`, and
 * `RUN_FINISHED` when it has ended otherwise.
 */
export async function cancelRun(
  { db, outbox, live }: { db: Db; outbox: Outbox; live: LiveSender },
  { account_id }: Principal,
  run_id: string,
): Promise<void> {
  const cancelled = await cancelStoredRun(db, account_id, run_id);
  if (!cancelled) throw notFound('Run');
  const { before } = cancelled;
  if (before === 'completed' || before === 'failed') {
    throw new DomainError('RUN_FINISHED', `The run is ${before}.`, { members: { run_status: before } });
  }
  outbox.send(cancelled.entry);
  live.changed(run_id);
}
