import type { Db } from './index.ts';
import type { LlmCall, NewLlmCall } from './schema.ts';

export type JournalledCall = LlmCall & { text: string };

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

/** Journals a paid call and its answer, and settles what was reserved for it. When another worker was first, its answer stands. Returns the one that does. */
export async function insertLlmCall(db: Db, call: NewLlmCall, text: string): Promise<JournalledCall> {
  const inserted = await db
    .with('answer', (cte) =>
      cte
        .insertInto('texts')
        .values({ text_id: call.call_id, run_id: call.run_id, text })
        .onConflict((conflict) => conflict.doNothing()),
    )
    .with('reservation', (cte) => cte.deleteFrom('budget_reservations').where('call_id', '=', call.call_id))
    .insertInto('llm_calls')
    .values(call)
    .onConflict((conflict) => conflict.doNothing())
    .returningAll()
    .executeTakeFirst();
  return inserted ? { ...inserted, text } : (await findLlmCall(db, call.call_id))!;
}
