import type { Transaction } from 'kysely';
import type { Decision } from '../workflows/messages.ts';
import { appendEvents } from './progress.ts';
import type { Database, Gate } from './schema.ts';
import { insertText } from './texts.ts';

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
 * Answers a gate once: compare-and-set on its row, the text under the gate's id, and the event. `won` is false when it
 * was answered or closed before; `gate` is then what stands. The task shows as running again when no other gate is open.
 */
export async function settleGate(
  trx: Transaction<Database>,
  answer: { run_id: string; task_id: string; gate_id: string; decision: Decision; output: string | null },
): Promise<{ won: boolean; gate: Gate }> {
  const { run_id, task_id, gate_id, decision, output } = answer;
  const answer_id = output?.trim() ? gate_id : null;
  const gate = await trx
    .updateTable('gates')
    .set({ status: 'answered', decision, answer_id, answered_at: new Date().toISOString() })
    .where('gate_id', '=', gate_id)
    .where('status', '=', 'open')
    .returningAll()
    .executeTakeFirst();
  if (!gate) {
    return {
      won: false,
      gate: await trx.selectFrom('gates').selectAll().where('gate_id', '=', gate_id).executeTakeFirstOrThrow(),
    };
  }
  if (answer_id) await insertText(trx, { text_id: answer_id, run_id, text: output! });
  await trx
    .updateTable('tasks')
    .set({ status: 'running' })
    .where('run_id', '=', run_id)
    .where('id', '=', task_id)
    .execute();
  const stillOpen = trx.selectFrom('gates').select('gate_id').where('run_id', '=', run_id).where('status', '=', 'open');
  await trx
    .updateTable('runs')
    .set({ status: 'running' })
    .where('run_id', '=', run_id)
    .where('status', '=', 'waiting_human')
    .where((eb) => eb.not(eb.exists(stillOpen)))
    .execute();
  const data = { task_id, gate_id, decision };
  await appendEvents(trx, run_id, [{ key: `answer/${gate_id}`, type: 'gate.answered', data }]);
  return { won: true, gate };
}
