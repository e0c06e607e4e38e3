import { sql } from 'kysely';
import type { Db } from './index.ts';
import type { RunEvent } from '../workflows/contract/states.ts';
import type { LlmCall } from './schema.ts';

/** A call with its answer. */
export type JournalledCall = Omit<LlmCall, 'account_id' | 'created_at'> & { text: string };

/** The journalled call of this id with its answer, or undefined when it was never paid. */
export function findLlmCall(db: Db, call_id: string): Promise<JournalledCall | undefined> {
  return db
    .selectFrom('llm_calls')
    .innerJoin('texts', 'texts.text_id', 'llm_calls.call_id')
    .selectAll('llm_calls')
    .select('texts.text')
    .where('call_id', '=', call_id)
    .executeTakeFirst();
}

/** An answer that is shown as the draft of its task at this attempt, with these events, until it is judged. */
export type Draft = { attempt: number; events: RunEvent[] };

/**
 * Journals a paid call and its answer, settles what was reserved for it, and counts what was spent of the operator's models.
 * A `draft` is shown by the same statement. When another worker was first, its answer stands. Returns the one that does.
 */
export async function insertLlmCall(db: Db, call: JournalledCall, draft: Draft | null = null): Promise<JournalledCall> {
  const { tool_calls, text, ...row } = call;
  const [called, shown] = [tool_calls, draft].map((value) => value && JSON.stringify(value));
  const { rows } = await sql<{ is_first: boolean }>`
    select journal_call(${JSON.stringify(row)}::jsonb, ${called}::jsonb, ${text}, ${shown}::jsonb) as is_first
  `.execute(db);
  return rows[0]!.is_first ? call : (await findLlmCall(db, call.call_id))!;
}
