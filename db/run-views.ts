import { sql } from 'kysely';
import type { HumanField } from '../workflows/contract/field-values.ts';
import type { Decision, GateKind, GateStatus, TaskKind, TaskStatus } from '../workflows/contract/states.ts';
import type { Db } from './index.ts';
import type { AttachmentView } from './run-files.ts';
import type { PendingFor } from './run-queue.ts';
import type { Actor, Evaluation, Run } from './schema.ts';

/**
 * Runs and tasks as readers see them. Postgres writes the JSON of the two that clients poll (`run_view` and
 * `tasks_view` in `db/functions`), and it goes to the wire as it is.
 */

/** The text of a JSON value of type `T`. */
export type JsonText<T> = string & { readonly json?: T };

export type Usage = { llm_calls: number; input_tokens: number; output_tokens: number; cost_usd: number };

/** Without a name: they were removed. */
type Assignee = { person_id: string; name: string | null };

export type GateView = {
  gate_id: string;
  kind: GateKind;
  status: GateStatus;
  reason: string | null;
  /** What a person is asked at a human step, and what they fill in, while it is open. */
  prompt: string | null;
  fields: HumanField[] | null;
  decisions: Decision[];
  decision: Decision | null;
  by: Actor | null;
  /** The text of an answer that did not become the output, and why it was given. */
  note: string | null;
  /** The files that came with the answer. */
  attachments: AttachmentView[];
  /** What it asks for, and whose it is. */
  skills: string[];
  person: Assignee | null;
  assigned_at: string | null;
  /** Why it was given to them, or given back. */
  assignment_note: string | null;
  opened_at: string;
  due_at: string | null;
  answered_at: string | null;
};

export type TaskView = {
  id: string;
  step_id: string | null;
  step_type: string | null;
  title: string;
  description: string;
  kind: TaskKind;
  agent: string | null;
  model: string | null;
  depends_on: string[];
  status: TaskStatus;
  output: string | null;
  attempts: number;
  evaluation: Evaluation | null;
  gate: GateView | null;
  /** The files that came with answers to it, also in the run that this one is a rerun of. */
  attachments: AttachmentView[];
  error: string | null;
  usage: Usage;
  started_at: string | null;
  completed_at: string | null;
};

export type RunView = Omit<
  Run,
  | 'account_id'
  | 'started_by'
  | 'channel'
  | 'user_id'
  | 'version'
  | 'writers'
  | 'version_base'
  | 'event_seq'
  | 'plan'
  | 'final_output_id'
  | 'definition_hash'
  | 'shared_state'
  | 'agent_run'
  | 'queued_at'
  | 'heard'
> & {
  /** What it waits for before it begins; null when it has begun. */
  pending_for: PendingFor | null;
  /** Its place in the queue of its account, from 1; null when it does not wait for one. */
  queue_position: number | null;
  waiting_tasks: string[];
  tasks: TaskView[];
  final_output: string | null;
  usage: Usage;
  attachments: AttachmentView[];
};

/** The whole run, or undefined when this account has none of this id. */
export async function findRunView(db: Db, account_id: string, run_id: string): Promise<JsonText<RunView> | undefined> {
  const { rows } = await sql<{ view: string | null }>`select run_view(${account_id}, ${run_id})::text as view`.execute(
    db,
  );
  return rows[0]?.view ?? undefined;
}

/** The tasks of a run, or undefined when this account has no run of this id. */
export async function findTaskViews(
  db: Db,
  account_id: string,
  run_id: string,
): Promise<JsonText<TaskView[]> | undefined> {
  const { rows } = await sql<{ tasks: string }>`
    select tasks_view(run_id)::text as tasks from runs
    where run_id = ${run_id} and account_id = ${account_id}`.execute(db);
  return rows[0]?.tasks;
}
