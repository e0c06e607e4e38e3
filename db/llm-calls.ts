import { sql } from 'kysely';
import type { Db } from './index.ts';
import type { FollowingProgress } from '../workflows/contract/completion.ts';
import type { RunEvent } from '../workflows/contract/events.ts';
import type { RunStatus } from '../workflows/contract/states.ts';
import type { Signed } from './progress.ts';
import type { LlmCall } from './schema.ts';
import { knownOf, type Known } from './work.ts';

/** A call with its answer. */
export type JournalledCall = Omit<LlmCall, 'account_id' | 'knowledge_id' | 'created_at' | 'duration_ms'> & {
  text: string;
  duration_ms?: number | null;
};

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

/** What is written by the statement that journals an answer. */
export type Along = {
  /** The answer is shown as the draft of its task at this attempt, with these events, until it is judged. */
  draft?: { attempt: number; events: RunEvent[] };
  /** The answer is the final output: with it the run is completed. */
  completing?: Signed<FollowingProgress>;
};

/**
 * The answer that stands. `status` is what `saveProgress` returns of what was to be completed along with it; `known` what was known of the
 * run when the statement began, before it may have waited for the run.
 */
type Journalled = JournalledCall & { status?: RunStatus | null; known?: Known };

/**
 * Journals a paid call and its answer, settles what was reserved for it, and counts, once, what it cost its run
 * (`run_costs`) and what was spent of the operator's models. When another worker was first, its answer stands. Returns the
 * one that does; then nothing is written along. What is known of the run is read besides where the call `goes_on`.
 */
export async function insertLlmCall(
  db: Db,
  call: JournalledCall,
  { draft, completing }: Along = {},
  goes_on = false,
): Promise<Journalled> {
  const { tool_calls, text, ...row } = call;
  const [called, shown, end] = [tool_calls, draft, completing].map((value) => (value ? JSON.stringify(value) : null));
  const known = goes_on
    ? { columns: sql`, known.*`, join: sql`left join lateral (${knownOf(call.run_id)}) as known on true` }
    : { columns: sql``, join: sql`` };
  const { rows } = await sql<{ is_first: boolean; ended_as: RunStatus | null } & Known>`
    select is_first, journalled.status as ended_as ${known.columns}
    from journal_call(
      ${JSON.stringify(row)}::jsonb, ${called}::jsonb, ${text}, ${shown}::jsonb, ${end}::jsonb) as journalled
    ${known.join}`.execute(db);
  const { is_first, ended_as, ...latest } = rows[0]!;
  if (!is_first) return (await findLlmCall(db, call.call_id))!;
  return { ...call, ...(completing && { status: ended_as }), ...(goes_on && { known: latest }) };
}

const deletedAtOnce = 5_000;

/** Deletes calls of no run that are older than so many days: what they come to stands at their bases. */
export async function deleteOldAccountCalls(db: Db, days: number, signal: AbortSignal): Promise<void> {
  const old = sql`created_at < now() - make_interval(days => ${days})`;
  const some = sql`select ctid from llm_calls where run_id is null and ${old} limit ${deletedAtOnce} for update skip locked`;
  for (let deleted = deletedAtOnce; deleted === deletedAtOnce && !signal.aborted;) {
    const { numAffectedRows } = await sql`delete from llm_calls where ctid = any(array(${some}))`.execute(db);
    deleted = Number(numAffectedRows);
  }
}
