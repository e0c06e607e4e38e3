import { sql } from 'kysely';
import type { HumanField } from '../workflows/contract/field-values.ts';
import type { Decision, GateKind } from '../workflows/contract/states.ts';
import type { Db } from './index.ts';
import { runSummary, type RunSummary } from './run-lists.ts';
import { startsInMs, type WaitOfRun } from './run-queue.ts';

/** What a run has come to: for who waits for it. */

/** A gate that waits, with what it takes to answer it. */
export type OpenGate = {
  gate_id: string;
  task_id: string;
  kind: GateKind;
  title: string;
  /** What a person is asked at a human step, or what the task is about. */
  prompt: string | null;
  reason: string | null;
  /** What a human step shows beside its question, and what is filled in there. */
  context: string | null;
  fields: HumanField[] | null;
  /** The output that waits for a decision; at a tool's approval the arguments of the call. */
  draft: string | null;
  decisions: Decision[];
  person: { person_id: string; name: string | null } | null;
  opened_at: string;
  due_at: string | null;
};

export type RunResult = RunSummary &
  Pick<WaitOfRun, 'starts_in_ms'> & {
    /** Of a run of one agent: its version. */
    version: string | null;
    output: string | null;
    warnings: string[];
    held_at: string | null;
    gates: OpenGate[];
  };

/** A run and its result so far; undefined when this account has none of this id. */
export function findRunResult(db: Db, account_id: string, run_id: string): Promise<RunResult | undefined> {
  return runSummary(db.selectFrom('runs'))
    .select(['held_at', startsInMs])
    .select(sql<string | null>`run_output(runs)`.as('output'))
    .select(sql<string | null>`case when kind = 'agent' then agents -> 0 ->> 'version' end`.as('version'))
    .select(sql<string[]>`warnings_of(runs)`.as('warnings'))
    .select(sql<OpenGate[]>`open_gates_view(runs.run_id)`.as('gates'))
    .where('runs.run_id', '=', run_id)
    .where('runs.account_id', '=', account_id)
    .executeTakeFirst();
}

/** The task that waits, or waited, at a gate of the account's run; undefined when there is no such gate. */
export async function findTaskOfGate(
  db: Db,
  account_id: string,
  run_id: string,
  gate_id: string,
): Promise<string | undefined> {
  const found = await db
    .selectFrom('gates')
    .innerJoin('runs', 'runs.run_id', 'gates.run_id')
    .select('task_id')
    .where('gate_id', '=', gate_id)
    .where('gates.run_id', '=', run_id)
    .where('runs.account_id', '=', account_id)
    .executeTakeFirst();
  return found?.task_id;
}
