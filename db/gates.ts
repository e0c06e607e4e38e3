import { sql, type Kysely, type Transaction } from 'kysely';
import type { Decision } from '../workflows/messages.ts';
import type { Database, Gate } from './schema.ts';

/** The newest gate of a task, open or not, or undefined when it never waited. */
export function findLatestGate(trx: Transaction<Database>, run_id: string, task_id: string): Promise<Gate | undefined> {
  return trx
    .selectFrom('gates')
    .selectAll()
    .where('run_id', '=', run_id)
    .where('task_id', '=', task_id)
    .orderBy('opened_at', 'desc')
    .limit(1)
    .executeTakeFirst();
}

/**
 * Answers a gate once: compare-and-set on its row, the text under the gate's id, and the event, with the run locked.
 * Returns the gate as it stands: another answer, or none, when it was answered or closed before. The task shows as
 * running again, and the run when no other gate is open.
 */
export async function settleGate(
  db: Kysely<Database>,
  answer: { run_id: string; gate_id: string; decision: Decision; output: string | null },
): Promise<Gate> {
  const { run_id, gate_id, decision } = answer;
  const output = answer.output?.trim() ? answer.output : null;
  const { rows } = await sql<Gate>`
    select * from settle_gate(${run_id}, ${gate_id}, ${decision}, ${output})`.execute(db);
  return rows[0]!;
}
