import { sql } from 'kysely';
import type { Db } from '../../db/index.ts';
import { until } from './client.ts';
import { tablesWith } from './rows.ts';

/** Waits until a purged run is gone. The seconds that it must have been over before are let pass in the database. */
export function untilGone(db: Db, run_id: string): Promise<void> {
  return until(async () => {
    await sql`update purged_runs set due_at = now(), over_at = over_at - interval '1 minute'
      where run_id = ${run_id} and over_at > now() - interval '1 minute'`.execute(db);
    return (await tablesWith(db, 'run_id', run_id)).length === 0;
  }, `nothing of ${run_id} is left`);
}
