import type { OnTimeout } from '../workflows/contract/gate-rules.ts';
import type { Db } from './index.ts';
import { appendEvents, lockRun } from './progress.ts';
import { endRun } from './runs.ts';
import type { Gate } from './schema.ts';

/**
 * Expires a gate that nobody answered in time, once: compare-and-set on its row, with the run locked, so that an answer
 * that was accepted before stands. With `on_timeout: cancel` the run is cancelled with it, and the outbox tells its
 * workflow. Returns the gate as it stands.
 */
export function expireGate(
  db: Db,
  { run_id, gate_id, on_timeout }: { run_id: string; gate_id: string; on_timeout: OnTimeout },
): Promise<Gate> {
  return db.transaction().execute(async (trx) => {
    await lockRun(trx, run_id);
    const expired = await trx
      .updateTable('gates')
      .set({ status: 'expired' })
      .where('gate_id', '=', gate_id)
      .where('status', '=', 'open')
      .returningAll()
      .executeTakeFirst();
    if (!expired) {
      return trx.selectFrom('gates').selectAll().where('gate_id', '=', gate_id).executeTakeFirstOrThrow();
    }
    const data = { task_id: expired.task_id, gate_id, on_timeout };
    await appendEvents(trx, run_id, [{ key: `expired/${gate_id}`, type: 'gate.expired', data }]);
    if (on_timeout === 'cancel') {
      await endRun(trx, run_id, { status: 'cancelled', error: null });
      await appendEvents(trx, run_id, [{ key: 'cancelled', type: 'run.cancelled', data: {} }]);
      const message = JSON.stringify({ kind: 'cancel' });
      await trx.insertInto('outbox').values({ run_id, message }).execute();
    }
    return expired;
  });
}
