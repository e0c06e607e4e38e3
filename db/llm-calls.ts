import { sql } from 'kysely';
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

/**
 * Journals a paid call and its answer, settles what was reserved for it, and counts what was spent of the operator's models.
 * When another worker was first, its answer stands. Returns the one that does.
 */
export async function insertLlmCall(db: Db, call: NewLlmCall, text: string): Promise<JournalledCall> {
  const inserted = await db
    .with('answer', (cte) =>
      cte
        .insertInto('texts')
        .values({ text_id: call.call_id, run_id: call.run_id, text })
        .onConflict((conflict) => conflict.doNothing()),
    )
    .with('reservation', (cte) => cte.deleteFrom('budget_reservations').where('call_id', '=', call.call_id))
    .with('journalled', (cte) =>
      cte
        .insertInto('llm_calls')
        .values(call)
        .onConflict((conflict) => conflict.doNothing())
        .returningAll(),
    )
    .with('spending', (cte) =>
      cte
        .insertInto('managed_spending')
        .columns(['month', 'account_id', 'cost_usd'])
        .expression((eb) =>
          eb
            .selectFrom('journalled')
            .innerJoin('runs', 'runs.run_id', 'journalled.run_id')
            .select([
              sql<string>`date_trunc('month', now() at time zone 'UTC')`.as('month'),
              'runs.account_id',
              sql<number>`usd(cost_usd)`.as('cost_usd'),
            ])
            .where('journalled.provider_id', 'is', null)
            .where('cost_usd', 'is not', null),
        )
        .onConflict((conflict) =>
          conflict
            .columns(['month', 'account_id'])
            .doUpdateSet({ cost_usd: sql`managed_spending.cost_usd + excluded.cost_usd` }),
        ),
    )
    .selectFrom('journalled')
    .selectAll()
    .executeTakeFirst();
  return inserted ? { ...inserted, text } : (await findLlmCall(db, call.call_id))!;
}
