import { sql } from 'kysely';
import type { Db } from './index.ts';
import type { RequestedCall, ToolCall } from './schema.ts';

export type ToolResult = { text: string; is_error: boolean };

/** The journalled result of a tool call, or undefined when there is none yet. */
export function findToolResult(db: Db, call_id: string): Promise<ToolResult | undefined> {
  return db
    .selectFrom('tool_calls')
    .innerJoin('texts', 'texts.text_id', 'tool_calls.call_id')
    .select(['texts.text', 'tool_calls.is_error'])
    .where('call_id', '=', call_id)
    .executeTakeFirst();
}

/** Journals the result of a tool call. When another worker was first, its result stands. Returns the one that does. */
export async function insertToolResult(
  db: Db,
  call: Pick<ToolCall, 'call_id' | 'answer_id' | 'position' | 'tool' | 'duration_ms'> & {
    run_id: string;
    gate_id?: string;
  },
  { text, is_error }: ToolResult,
): Promise<ToolResult> {
  const inserted = await db
    .with('result', (cte) =>
      cte
        .insertInto('texts')
        .values({ text_id: call.call_id, run_id: call.run_id, text })
        .onConflict((conflict) => conflict.doNothing()),
    )
    .insertInto('tool_calls')
    .values({ ...call, is_error })
    .onConflict((conflict) => conflict.column('call_id').doNothing())
    .returning('call_id')
    .executeTakeFirst();
  return inserted ? { text, is_error } : (await findToolResult(db, call.call_id))!;
}

/**
 * The gate at which this call was approved: by a person, or by the terms of a run whose gates nobody answers. It is of
 * no other call. Undefined when there is none. Without `gate_id`, any of the task.
 */
export async function findApproval(
  db: Db,
  call: { call_id: string; run_id: string; task_id: string | null; gate_id?: string },
): Promise<string | undefined> {
  const { call_id, run_id, task_id, gate_id = null } = call;
  const { rows } = await sql<{ gate_id: string }>`
    select gate_id from gates join runs using (run_id)
    where run_id = ${run_id} and task_id = ${task_id} and gates.kind = 'tool_approval'
      and (${gate_id}::text is null or gate_id = ${gate_id})
      and (
        gates.status = 'answered' and decision in ('approve', 'edit')
        or gates.status = 'expired' and on_timeout = 'approve')
      and not exists (select from tool_calls where tool_calls.gate_id = gates.gate_id and call_id <> ${call_id})
    order by opened_at desc limit 1`.execute(db);
  return rows[0]?.gate_id;
}

/** What a model said and called in those of these answers that have calls, in their order, and what came of each call. */
export async function listTurns(
  db: Db,
  answer_ids: string[],
): Promise<{ answer_id: string; text: string; calls: RequestedCall[]; results: ToolResult[] }[]> {
  if (answer_ids.length === 0) return [];
  const [answers, results] = await Promise.all([
    db
      .selectFrom('llm_calls')
      .innerJoin('texts', 'texts.text_id', 'llm_calls.call_id')
      .select(['call_id', 'tool_calls', 'texts.text'])
      .where('call_id', '=', sql<string>`any(${answer_ids})`)
      .execute(),
    db
      .selectFrom('tool_calls')
      .innerJoin('texts', 'texts.text_id', 'tool_calls.call_id')
      .select(['answer_id', 'texts.text', 'is_error'])
      .where('answer_id', '=', sql<string>`any(${answer_ids})`)
      .orderBy('position')
      .execute(),
  ]);
  return answer_ids.flatMap((answer_id) => {
    const answer = answers.find(({ call_id }) => call_id === answer_id);
    if (!answer?.tool_calls?.length) return [];
    const { text, tool_calls: calls } = answer;
    return [{ answer_id, text, calls, results: results.filter((result) => result.answer_id === answer_id) }];
  });
}
