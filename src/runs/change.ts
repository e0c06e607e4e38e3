import type { Db } from '../../db/index.ts';
import type { LiveSender } from '../../db/live.ts';
import { changeRun as changeStoredRun, type RunChange } from '../../db/run-changes.ts';
import type { Run } from '../../db/schema.ts';
import { mostSteerings } from '../../db/steering.ts';
import { doingOf, type Principal, type Remark } from '../accounts/principal.ts';
import { DomainError, InvalidInputError, notFound, runFinished } from '../errors.ts';
import { requireCallable, type CheckAddress } from '../fetch/index.ts';
import type { Outbox } from '../temporal/outbox.ts';
import { addressesOf } from './gate-terms.ts';
import { startTimeOf, type StartTimeRequest } from './start-time.ts';
import { checkTermsChange, warningsOfOwnTerms } from './terms-change.ts';

type ChangeDeps = { db: Db; outbox: Outbox; live: LiveSender; checkAddress: CheckAddress; minReminderSeconds: number };

/**
 * Changes labels, limits, webhook and the terms of gates of a run; its next call, event or gate goes by them, and gates that
 * are open too; and when it begins. Returns when that is by now, where it was changed, and which gates keep terms of their own.
 * Throws `NOT_FOUND`, `RUN_FINISHED` for all but labels, `STEERED_TOO_OFTEN`, and `InvalidInputError` for terms that
 * cannot work, addresses that may not be called, the webhook of a run that was started without one, and the time of one that has begun. `check` may refuse it by an error, with the run as
 * it is.
 */
export async function changeRun(
  deps: ChangeDeps,
  principal: Principal,
  run_id: string,
  { start_at, start_in, ...rest }: Omit<RunChange, 'start'> & StartTimeRequest,
  remark: Remark,
  check?: (run: Run) => void,
): Promise<{ start_at?: string; warnings: string[] }> {
  const { db, outbox, live, minReminderSeconds } = deps;
  const start = startTimeOf({ start_at, start_in });
  const change = { ...rest, ...(start && { start }) };
  requireCallable(deps.checkAddress, addressesOf(rest, []));
  const request = { account_id: principal.account_id, run_id, ...doingOf(principal, remark) };
  let warnings: string[] = [];
  const changed = await changeStoredRun(db, request, change, async (run, trx) => {
    check?.(run);
    await checkTermsChange(trx, run, rest, minReminderSeconds);
    warnings = await warningsOfOwnTerms(trx, run, rest);
  });
  if (!changed) throw notFound('Run');
  const { before, refused, entry } = changed;
  switch (refused) {
    case 'finished':
      throw runFinished(before);
    case 'too_often': {
      const message = `The terms of the gates of a run are changed ${mostSteerings} times at most.`;
      throw new DomainError('STEERED_TOO_OFTEN', message, { members: { run_status: before } });
    }
    case 'no_webhook': {
      const detail = 'cannot be set: the run was started without one. A subscription hears of every run';
      throw new InvalidInputError([{ path: ['webhook_url'], detail }]);
    }
    case 'begun': {
      const path = [start_at === undefined ? 'start_in' : 'start_at'];
      throw new InvalidInputError([{ path, detail: 'cannot be changed: the run has begun' }]);
    }
    case undefined:
      outbox.send(entry);
      if (start) outbox.begin(run_id);
      live.changed(run_id);
      return { ...(changed.start_at && { start_at: changed.start_at }), warnings };
  }
}
