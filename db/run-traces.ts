import { sql } from 'kysely';
import type { Decision, GateKind, GateStatus } from '../workflows/contract/states.ts';
import type { Db } from './index.ts';
import type { JsonText } from './run-views.ts';
import type { Actor, LlmCall } from './schema.ts';

/** What a run has done, one thing after another. Postgres writes the JSON (`trace_view`), and it goes to the wire as it is. */

/** So many entries a trace has at most. */
export const mostEntries = 5_000;

/** `started_at` and `duration_ms` are null of calls that processes of the release before have made. */
type Entry<T extends string> = {
  type: T;
  id: string;
  task_id: string | null;
  started_at: string | null;
  ended_at: string | null;
  duration_ms: number | null;
};

export type TraceEntry =
  | (Entry<'model_call'> &
      Pick<LlmCall, 'purpose' | 'vendor' | 'model' | 'provider_id' | 'finish' | 'cost_usd'> & {
        /** Null where the key of the call has none. */
        attempt: number | null;
        agent: string | null;
        tokens: { input: number; output: number };
        output: string;
        /** The names of the tools that it called. */
        calls: string[];
      })
  | (Entry<'tool_call' | 'retrieval'> & {
      attempt: number | null;
      /** The model call that asked for it. */
      model_call_id: string | null;
      tool: string;
      /** As they were sent: a person may have edited what the model wrote. */
      arguments: string | null;
      result: string;
      is_error: boolean;
      /** Where it was approved, if it had to be. */
      gate_id: string | null;
    })
  | (Entry<'gate'> & {
      kind: GateKind;
      status: GateStatus;
      reason: string | null;
      decision: Decision | null;
      answer: string | null;
      by: Actor | null;
      note: string | null;
    })
  | (Entry<'retry'> & {
      of: 'call' | 'task' | 'run';
      /** Of a call: how often it was tried by then. */
      tries: number | null;
      attempt: number | null;
      reason: string | null;
    });

/** The trace of a run of the caller's, in the order in which its entries began. */
export async function findTrace(db: Db, run_id: string): Promise<JsonText<TraceEntry[]>> {
  const { rows } = await sql<{ trace: string }>`
    select trace_view(${run_id}, ${mostEntries}::integer)::text as trace`.execute(db);
  return rows[0]!.trace;
}

/** Some of these entries, from `offset` on, and how many there are in all. */
export async function pageOfTrace(
  db: Db,
  run_id: string,
  { limit, offset }: { limit: number; offset: number },
): Promise<{ entries: TraceEntry[]; total: number }> {
  const { rows } = await sql<{ entries: TraceEntry[]; total: number }>`
    with entries as (
      select entry, nth from json_array_elements(trace_view(${run_id}, ${mostEntries}::integer)) with ordinality as told (entry, nth)
    )
    select (select count(*) from entries) as total, (
      select coalesce(json_agg(entry order by nth), '[]') from entries
      where nth > ${offset}::bigint and nth <= ${offset}::bigint + ${limit}::bigint) as entries`.execute(db);
  return rows[0]!;
}
