import { sql, type ExpressionBuilder } from 'kysely';
import { jsonArrayFrom } from 'kysely/helpers/postgres';
import type { Decision, GateKind, RunStatus, TaskState } from '../workflows/contract/states.ts';
import type { Db } from './index.ts';
import type { Database } from './schema.ts';

/** Orchestrations as runs: what is done to them, and what that needs to know. */

/** Whether this account has a run of an orchestration of this id. */
export async function isOrchestrationRun(db: Db, account_id: string, run_id: string): Promise<boolean> {
  const run = await db
    .selectFrom('runs')
    .select('run_id')
    .where('run_id', '=', run_id)
    .where('account_id', '=', account_id)
    .where('kind', '=', 'orchestration')
    .executeTakeFirst();
  return run !== undefined;
}

/** What is needed to answer a gate. */
export type WaitingGate = {
  gate_id: string;
  task_id: string;
  kind: GateKind;
  decisions: Decision[];
  step_id: string | null;
};

/** The open gates of the run in the query, the oldest first, with the columns of a `WaitingGate`. */
export function openGatesOf(eb: ExpressionBuilder<Database, 'runs'>) {
  return eb
    .selectFrom('gates')
    .innerJoin('tasks', (join) =>
      join.onRef('tasks.run_id', '=', 'gates.run_id').onRef('tasks.id', '=', 'gates.task_id'),
    )
    .select(['gate_id', 'task_id', 'gates.kind', 'decisions'])
    .select(sql<string | null>`step ->> 'step_id'`.as('step_id'))
    .whereRef('gates.run_id', '=', 'runs.run_id')
    .where('gates.status', '=', 'open')
    .orderBy('opened_at')
    .orderBy('position');
}

export type WaitingRun = { status: RunStatus; gates: WaitingGate[] };

/** The open gates of the run of an orchestration, the oldest first; undefined when this account has none of this id. */
export async function findWaitingGates(db: Db, account_id: string, run_id: string): Promise<WaitingRun | undefined> {
  return db
    .selectFrom('runs')
    .select('status')
    .select((eb) => jsonArrayFrom(openGatesOf(eb)).as('gates'))
    .where('account_id', '=', account_id)
    .where('run_id', '=', run_id)
    .where('kind', '=', 'orchestration')
    .executeTakeFirst();
}

/**
 * The output of a task of the query. That of a human step that was not done is an answer that was accepted, and of which the
 * workflow has not heard.
 */
export function outputOrAnswer(eb: ExpressionBuilder<Database, 'tasks'>) {
  const answer = eb
    .selectFrom('gates')
    .select('answer_id')
    .whereRef('gates.run_id', '=', 'tasks.run_id')
    .whereRef('gates.task_id', '=', 'tasks.id')
    .where('gates.kind', '=', 'human_step');
  return eb.fn.coalesce('output_id', answer).as('output_id');
}

/**
 * What a run has done so far, for one that is tried again: its steps, with `outputOrAnswer`, and what was decided on its budget.
 */
export async function listTasksSoFar(db: Db, run_id: string): Promise<TaskState[]> {
  const rows = await db
    .selectFrom('tasks')
    .select(['id', 'title', 'kind', 'agent', 'model', 'depends_on', 'status', 'attempts'])
    .select(['evaluation', 'error', 'step'])
    .select(outputOrAnswer)
    .where('run_id', '=', run_id)
    .orderBy('position')
    .execute();
  return rows.map(({ step, ...task }) => ({ ...task, gate: null, ...(step && { step }) }));
}
