import { holdSpending } from '../../db/call-chains.ts';
import { DomainError } from '../errors.ts';
import type { Caller } from './chain.ts';

/**
 * Gives a run that another one calls what that may spend on it yet, as its `max_cost_usd`, and as what it may spend on calls
 * of its own. Throws `CALL_CHAIN_REFUSED` when there is nothing left.
 */
export async function holdDownstream(
  trx: Parameters<typeof holdSpending>[0],
  parent: Caller,
  run_id: string,
): Promise<void> {
  const { per_call_cap, spend_cap } = parent.downstream;
  if (per_call_cap === undefined && spend_cap === undefined) return;
  const left = await holdSpending(trx, { parent_run_id: parent.run_id, run_id, per_call_cap, spend_cap });
  if (left > 0) return;
  const message = `${parent.agent} has spent what it may on calls of others: ${spend_cap} US cents.`;
  throw new DomainError('CALL_CHAIN_REFUSED', message);
}
