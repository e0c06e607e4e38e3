import { sql, type Transaction } from 'kysely';
import { gateTerms } from '../workflows/contract/gate-terms.ts';
import type { Database } from './schema.ts';

/**
 * How often the terms of the gates of a run were changed after the change of this number. Each is told to the workflow, and is
 * read by it.
 */
export async function countChangesOfGates(trx: Transaction<Database>, run_id: string, after = 0): Promise<number> {
  const { changes } = await trx
    .selectFrom('run_events')
    .select((eb) => eb.fn.countAll<number>().as('changes'))
    .where('run_id', '=', run_id)
    .where('type', '=', 'run.changed')
    .where('seq', '>', after)
    .where(sql<boolean>`data -> 'changed' ?| ${[...gateTerms]}::text[]`)
    .executeTakeFirstOrThrow();
  return changes;
}
