import { sql } from 'kysely';
import type { Decision } from '../workflows/messages.ts';
import type { Db } from './index.ts';
import { nextAttempt, type OutboxEntry } from './outbox.ts';
import type { Gate, OutboxMessage } from './schema.ts';

type Answer = { run_id: string; gate_id: string; decision: Decision; output: string | null };

/** `request_id` is the same at every try of a request with an `Idempotency-Key`. */
type AnswerOfRequest = Answer & { task_id: string; request_id: string };

/** Null when the answer is blank. */
function outputOf({ output }: Answer): string | null {
  return output?.trim() ? output : null;
}

/**
 * Answers a gate once: compare-and-set on its row, the text under the gate's id, and the event, with the run locked.
 * Returns the gate as it stands: another answer, or none, when it was answered or closed before. The task shows as
 * running again, and the run when no other gate is open.
 */
export async function settleGate(db: Db, answer: Answer): Promise<Gate> {
  const { run_id, gate_id, decision } = answer;
  const { rows } = await sql<Gate>`
    select (gate).* from settle_gate(${run_id}, ${gate_id}, ${decision}, ${outputOf(answer)}, null)`.execute(db);
  return rows[0]!;
}

/**
 * `settleGate`, and with it the outbox entry that tells the workflow, in one statement. `won` is false when another
 * was first; `entry` is undefined then, and when an older entry of the run must go before it.
 */
export async function answerGate(
  db: Db,
  answer: AnswerOfRequest,
): Promise<{ won: boolean; gate: Gate; entry: OutboxEntry | undefined }> {
  const { run_id, task_id, gate_id, decision, request_id } = answer;
  const message = JSON.stringify({ kind: 'complete_task', task_id, gate_id, decision });
  const { rows } = await sql<Gate & { won: boolean; waits: boolean; outbox_id: string; message: OutboxMessage }>`
    with settled as materialized (
      select won, (gate).* from settle_gate(${run_id}, ${gate_id}, ${decision}, ${outputOf(answer)}, ${request_id})
    ), entry as (
      insert into outbox (run_id, message, next_attempt_at)
      select run_id, ${message}::jsonb || jsonb_build_object('output_id', answer_id), ${nextAttempt(run_id)}
      from settled where won
      returning outbox_id, message, next_attempt_at <= now() as waits
    )
    select settled.*, entry.* from settled left join entry on true`.execute(db);
  const { won, waits, outbox_id, message: stored, ...gate } = rows[0]!;
  return { won, gate, entry: won && !waits ? { outbox_id, run_id, message: stored, attempts: 0 } : undefined };
}

/** The gate that this request has answered, or undefined when it has answered none. */
export function findGateAnsweredBy(db: Db, run_id: string, request_id: string): Promise<Gate | undefined> {
  return db
    .selectFrom('gates')
    .selectAll()
    .where('run_id', '=', run_id)
    .where('answered_by', '=', request_id)
    .executeTakeFirst();
}
