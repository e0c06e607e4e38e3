import { sql } from 'kysely';
import type { Decision, GateKind, GateStatus, RunStatus, TaskKind, TaskStatus } from '../workflows/contract/states.ts';
import type { Db } from './index.ts';
import type { Evaluation, Run } from './schema.ts';

/**
 * Runs and tasks as readers see them. Postgres writes the JSON of the two that clients poll (`run_view` and
 * `tasks_view` in `db/functions`), and it goes to the wire as it is.
 */

/** The text of a JSON value of type `T`. */
export type JsonText<T> = string & { readonly json?: T };

export type Usage = { llm_calls: number; input_tokens: number; output_tokens: number; cost_usd: number };

export type GateView = {
  gate_id: string;
  kind: GateKind;
  status: GateStatus;
  reason: string | null;
  decisions: Decision[];
  decision: Decision | null;
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
  error: string | null;
  usage: Usage;
  started_at: string | null;
  completed_at: string | null;
};

export type RunView = Omit<
  Run,
  | 'account_id'
  | 'kind'
  | 'origin'
  | 'started_by'
  | 'version'
  | 'writers'
  | 'version_base'
  | 'event_seq'
  | 'plan'
  | 'final_output_id'
  | 'definition_hash'
  | 'shared_state'
  | 'attempt'
> & {
  waiting_tasks: string[];
  tasks: TaskView[];
  final_output: string | null;
  usage: Usage;
};

export type RunListItem = Pick<
  Run,
  'run_id' | 'status' | 'phase' | 'task' | 'error' | 'created_at' | 'started_at' | 'completed_at'
> & {
  waiting_tasks: string[];
};

const waitingTasks = sql<string[]>`array(
  select tasks.id from gates join tasks using (run_id) where gates.run_id = runs.run_id and gates.status = 'open'
  and tasks.id = gates.task_id order by tasks.position)`;

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

/** A page of an account's runs, newest first, starting after `after`. */
export function listRuns(
  db: Db,
  account_id: string,
  page: { limit: number; status?: RunStatus; after?: { created_at: string; id: string } },
): Promise<RunListItem[]> {
  return db
    .selectFrom('runs')
    .select(['run_id', 'status', 'phase', 'task', 'error', 'created_at', 'started_at', 'completed_at'])
    .select(waitingTasks.as('waiting_tasks'))
    .where('account_id', '=', account_id)
    .$if(page.status !== undefined, (query) => query.where('status', '=', page.status!))
    .$if(page.after !== undefined, (query) =>
      query.where(sql<boolean>`(created_at, run_id) < (${page.after!.created_at}::timestamptz, ${page.after!.id})`),
    )
    .orderBy('created_at', 'desc')
    .orderBy('run_id', 'desc')
    .limit(page.limit)
    .execute();
}
