import { sql } from 'kysely';
import {
  decisionsOf,
  type Decision,
  type GateKind,
  type RunStatus,
  type TaskStatus,
  type TaskKind,
} from '../workflows/messages.ts';
import type { Db } from './index.ts';
import type { Evaluation, Run } from './schema.ts';

/** Runs and tasks as readers see them, each by one statement. */

export type Usage = { llm_calls: number; input_tokens: number; output_tokens: number; cost_usd: number };

export type GateView = {
  gate_id: string;
  kind: GateKind;
  status: 'open' | 'answered' | 'closed';
  reason: string | null;
  decisions: Decision[];
  decision: Decision | null;
  opened_at: string;
  answered_at: string | null;
};

export type TaskView = {
  id: string;
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

export type RunView = Omit<Run, 'account_id' | 'version' | 'event_seq' | 'final_output_id'> & {
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

const usageColumns = sql`
  count(*) as llm_calls, coalesce(sum(input_tokens), 0) as input_tokens,
  coalesce(sum(output_tokens), 0) as output_tokens, coalesce(sum(cost_usd), 0) as cost_usd`;

/** As `db/index.ts` renders timestamps, for those inside JSON. */
const iso = (column: string) => sql`to_char(${sql.ref(column)} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

const waitingTasks = sql<string[]>`array(
  select tasks.id from gates join tasks using (run_id) where gates.run_id = runs.run_id and gates.status = 'open'
  and tasks.id = gates.task_id order by tasks.position)`;

const tasksOfRun = sql`
  select tasks.id, tasks.title, tasks.description, tasks.kind, tasks.agent, tasks.model, tasks.depends_on, tasks.status,
    output.text as output, tasks.attempts, tasks.evaluation, to_jsonb(gate) as gate, tasks.error,
    to_jsonb(usage) as usage, ${iso('tasks.started_at')} as started_at, ${iso('tasks.completed_at')} as completed_at
  from tasks
  left join texts as output on output.text_id = tasks.output_id
  left join lateral (
    select gate_id, kind, status, reason, decision, ${iso('opened_at')} as opened_at, ${iso('answered_at')} as answered_at
    from gates where gates.run_id = tasks.run_id and gates.task_id = tasks.id order by gates.opened_at desc limit 1
  ) as gate on true
  left join lateral (
    select ${usageColumns} from llm_calls where llm_calls.run_id = tasks.run_id and llm_calls.task_id = tasks.id
  ) as usage on true
  where tasks.run_id = runs.run_id
  order by tasks.position`;

const tasksColumn = sql<TaskView[]>`array(select to_jsonb(view) from (${tasksOfRun}) as view)`;

function withDecisions(tasks: TaskView[]): TaskView[] {
  return tasks.map((task) =>
    task.gate ? { ...task, gate: { ...task.gate, decisions: decisionsOf(task.gate.kind) } } : task,
  );
}

/** The whole run, or undefined when this account has none of this id. */
export async function findRunView(db: Db, account_id: string, run_id: string): Promise<RunView | undefined> {
  const { rows } = await sql<RunView>`
    select runs.run_id, runs.status, runs.phase, runs.task, ${waitingTasks} as waiting_tasks, ${tasksColumn} as tasks,
      final.text as final_output, runs.error, runs.warnings, to_jsonb(usage) as usage, runs.agents, runs.human_gates,
      runs.ask_me_about, runs.require_approval, runs.webhook_url, runs.provider_id,
      runs.created_at, runs.started_at, runs.completed_at
    from runs
    left join texts as final on final.text_id = runs.final_output_id
    left join lateral (select ${usageColumns} from llm_calls where llm_calls.run_id = runs.run_id) as usage on true
    where runs.run_id = ${run_id} and runs.account_id = ${account_id}`.execute(db);
  return rows[0] && { ...rows[0], tasks: withDecisions(rows[0].tasks) };
}

/** The tasks of a run, or undefined when this account has no run of this id. */
export async function findTaskViews(db: Db, account_id: string, run_id: string): Promise<TaskView[] | undefined> {
  const { rows } = await sql<{ tasks: TaskView[] }>`
    select ${tasksColumn} as tasks from runs where run_id = ${run_id} and account_id = ${account_id}`.execute(db);
  return rows[0] && withDecisions(rows[0].tasks);
}

export type RunPosition = { created_at: string; run_id: string };

/** A page of an account's runs, newest first, starting after `after`. */
export function listRuns(
  db: Db,
  account_id: string,
  page: { limit: number; status?: RunStatus; after?: RunPosition },
): Promise<RunListItem[]> {
  return db
    .selectFrom('runs')
    .select(['run_id', 'status', 'phase', 'task', 'error', 'created_at', 'started_at', 'completed_at'])
    .select(waitingTasks.as('waiting_tasks'))
    .where('account_id', '=', account_id)
    .$if(page.status !== undefined, (query) => query.where('status', '=', page.status!))
    .$if(page.after !== undefined, (query) =>
      query.where(sql<boolean>`(created_at, run_id) < (${page.after!.created_at}::timestamptz, ${page.after!.run_id})`),
    )
    .orderBy('created_at', 'desc')
    .orderBy('run_id', 'desc')
    .limit(page.limit)
    .execute();
}
