import { sql, type Transaction } from 'kysely';
import type { StepMark } from '../workflows/contract/states.ts';
import type { Db } from './index.ts';
import { outputOrAnswer } from './orchestration-runs.ts';
import type { Database, Task } from './schema.ts';

/** What it takes to do the run of an orchestration again from one of its steps. */

/** One execution of a step. `output_id` is `outputOrAnswer`. */
export type SourceStep = Pick<Task, 'id' | 'status' | 'output_id'> & { step: StepMark };

/** The executions of the steps of a run, in the order in which they began. */
export function listSteps(db: Db, run_id: string): Promise<SourceStep[]> {
  return db
    .selectFrom('tasks')
    .select(['id', 'status', 'step'])
    .select(outputOrAnswer)
    .where('run_id', '=', run_id)
    .where('step', 'is not', null)
    .$narrowType<{ step: StepMark }>()
    .orderBy('position')
    .execute();
}

type Copied = { from: string; to: string };

/** Gives a run these steps of another as completed ones, in their order. `output_id` and `step` are those that they have there. */
export async function copySteps(
  trx: Transaction<Database>,
  { from, to }: Copied,
  steps: Pick<SourceStep, 'id' | 'output_id' | 'step'>[],
): Promise<void> {
  const standing = JSON.stringify(
    steps.map(({ id, output_id, step }, position) => ({ id, position, output_id, step })),
  );
  await sql`
    insert into tasks (
      run_id, id, position, title, description, kind, agent, model, depends_on, status, output_id, step, completed_at)
    select ${to}, id, standing.position, title, description, kind, agent, model, depends_on, 'completed',
      standing.output_id, standing.step, now()
    from jsonb_to_recordset(${standing}::jsonb) as standing(id text, position integer, output_id text, step jsonb)
    join tasks using (id)
    where tasks.run_id = ${from}`.execute(trx);
}

/** Gives a run copies of texts of another. `ids`: which, and the ids that they have there; a text that is there stands. */
export async function copyTexts(
  trx: Transaction<Database>,
  { from, to }: Copied,
  ids: Map<string, string>,
): Promise<void> {
  await sql`
    insert into texts (text_id, run_id, text)
    select copy_id, ${to}, text
    from unnest(${[...ids.keys()]}::text[], ${[...ids.values()]}::text[]) as copied(text_id, copy_id)
    join texts using (text_id)
    where texts.run_id = ${from}
    on conflict do nothing`.execute(trx);
}
