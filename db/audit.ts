import { sql } from 'kysely';
import type { Db } from './index.ts';
import type { AttachmentView } from './run-files.ts';
import type { GateView, JsonText } from './run-views.ts';
import type { Evaluation, LlmCall, RunKind } from './schema.ts';
import type { RunStatus } from '../workflows/contract/states.ts';

/** What was tried and said in a run, to the last word. Postgres writes the JSON, and it goes to the wire as it is. */

export type ToolCallView = {
  tool: string;
  arguments: string;
  /** Null while it is not made. */
  result: string | null;
  is_error: boolean | null;
  gate_id: string | null;
  created_at: string | null;
};

export type CallView = Omit<LlmCall, 'run_id' | 'account_id' | 'task_id' | 'tool_calls' | 'duration_ms'> & {
  text: string;
  tool_calls: ToolCallView[];
};

export type AttemptsView = {
  run_id: string;
  task_id: string;
  title: string;
  attempts: {
    attempt: number;
    started_at: string | null;
    draft: string | null;
    evaluation: Evaluation | null;
    calls: CallView[];
  }[];
  gates: (Omit<GateView, 'prompt' | 'fields'> & {
    answer: string | null;
    /** After which attempt it was opened. */
    attempt: number | null;
  })[];
};

/** All attempts of a task, or undefined when this account has none of these ids. */
export async function findAttemptsView(
  db: Db,
  account_id: string,
  run_id: string,
  task_id: string,
): Promise<JsonText<AttemptsView> | undefined> {
  const { rows } = await sql<{ view: string | null }>`
    select attempts_view(${account_id}, ${run_id}, ${task_id})::text as view`.execute(db);
  return rows[0]?.view ?? undefined;
}

/** Of what run an audit is. */
export type AuditedRun = {
  run_id: string;
  kind: RunKind;
  task: string;
  status: RunStatus;
  started_by: string | null;
  created_at: string;
  completed_at: string | null;
  event_seq: number;
};

export type AuditEvent = {
  seq: number;
  type: string;
  created_at: string;
  data: Record<string, unknown>;
  /** What the event refers to, whole: `answer`, `output`, `feedback`, `arguments`, `result`. */
  texts: Record<string, string>;
  /** The files that came with the goal (`run.created`), or with an answer (`gate.answered`). */
  attachments: AttachmentView[];
};

/** The run, or undefined when this account has none of this id. */
export function findAuditedRun(db: Db, account_id: string, run_id: string): Promise<AuditedRun | undefined> {
  return db
    .selectFrom('runs')
    .select(['run_id', 'kind', 'task', 'status', 'started_by', 'created_at', 'completed_at', 'event_seq'])
    .where('run_id', '=', run_id)
    .where('account_id', '=', account_id)
    .executeTakeFirst();
}

/** The events after `seq`, and up to `last`, `limit` of them at most, with all texts that they refer to. */
export async function listAuditEvents(
  db: Db,
  run_id: string,
  { seq, last, limit }: { seq: number; last: number; limit: number },
): Promise<{ seq: number; event: JsonText<AuditEvent> }[]> {
  const { rows } = await sql<{ seq: number; event: string }>`
    select seq, json_build_object(
      'seq', seq, 'type', type, 'created_at', iso(event.created_at), 'data', data,
      'texts', json_strip_nulls(json_build_object(
        'answer', (select text from texts where type = 'gate.answered' and text_id = data ->> 'gate_id'),
        'output', (
          select text from texts
          where text_id = case type when 'run.completed' then final_output_id else data ->> 'output_id' end),
        'feedback', (select text from texts where text_id = data ->> 'feedback_id'),
        'arguments', (
          select asked.tool_calls -> made.position - 1 ->> 'arguments'
          from tool_calls as made join llm_calls as asked on asked.call_id = made.answer_id
          where type = 'tool.called' and made.call_id = data ->> 'call_id'),
        'result', (select text from texts where type = 'tool.result' and text_id = data ->> 'call_id'))),
      'attachments', case type
        when 'run.created' then attachments_view(run_id, '')
        when 'gate.answered' then attachments_view(run_id, data ->> 'gate_id')
        else '[]' end)::text as event
    from run_events as event join runs using (run_id)
    where run_id = ${run_id} and seq > ${seq} and seq <= ${last}
    order by seq limit ${limit}`.execute(db);
  return rows;
}
