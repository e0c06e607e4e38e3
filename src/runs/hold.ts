import type { Db } from '../../db/index.ts';
import { setHeld, type Held } from '../../db/holds.ts';
import type { LiveSender } from '../../db/live.ts';
import { doingOf, type Principal, type Remark } from '../accounts/principal.ts';
import { DomainError, notFound, runFinished } from '../errors.ts';
import type { Outbox } from '../temporal/outbox.ts';

type HoldDeps = { db: Db; outbox: Outbox; live: LiveSender };

/**
 * Holds a run: no call of a model or a tool, and no code, is begun from now on; what is in flight ends, and people may
 * answer. Returns since when it is held: of one that is held already, as before. Throws `NOT_FOUND`, `RUN_FINISHED` and
 * `STEERED_TOO_OFTEN`.
 */
export async function holdRun(deps: HoldDeps, principal: Principal, run_id: string, remark: Remark): Promise<string> {
  return (await change(deps, principal, run_id, { ...remark, isHeld: true })).held_at!;
}

/**
 * Lets a run go on that is held; one that is not goes on as it does. One that has failed goes on when it is tried again.
 * Returns whether it goes on now. Throws `NOT_FOUND` and `RUN_FINISHED`.
 */
export async function releaseRun(
  deps: HoldDeps,
  principal: Principal,
  run_id: string,
  remark: Remark,
): Promise<{ goesOn: boolean }> {
  const { before } = await change(deps, principal, run_id, { ...remark, isHeld: false });
  return { goesOn: before !== 'failed' };
}

async function change(
  { db, outbox, live }: HoldDeps,
  principal: Principal,
  run_id: string,
  { isHeld, ...remark }: Remark & { isHeld: boolean },
): Promise<Held> {
  const held = await setHeld(db, principal.account_id, run_id, { isHeld, ...doingOf(principal, remark) });
  if (!held) throw notFound('Run');
  if (held.refused === 'finished') throw runFinished(held.before);
  if (held.refused === 'too_often') {
    const message = 'The run was held so often that it is not held again. Cancel it, and rerun it.';
    throw new DomainError('STEERED_TOO_OFTEN', message, { members: { run_status: held.before } });
  }
  if (held.entry) outbox.send(held.entry);
  else if (!isHeld) outbox.begin(run_id);
  live.changed(run_id);
  return held;
}
