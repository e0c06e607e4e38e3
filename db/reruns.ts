import { sql, type Transaction } from 'kysely';
import type { TakenTask } from '../workflows/contract/inputs.ts';
import type { Db } from './index.ts';
import type { Database, Task } from './schema.ts';

/** `human_gates`: those that it answers to, as its plan says; null of a plan of 0.1.0, and of what is no gate. */
export type SourceTask = Task & { human_gates: number[] | null };

/**
 * The tasks of the plan of a run, in its order; none while it is not planned. Those that Orchflow added later, for a decision on its
 * budget or its final output, are left out.
 */
export async function listPlannedTasks(db: Db, run_id: string): Promise<SourceTask[]> {
  const { rows } = await sql<SourceTask>`
    select tasks.*, planned -> 'human_gates' as human_gates
    from run_events, jsonb_array_elements(data -> 'tasks') as planned, tasks
    where run_events.run_id = ${run_id} and type = 'run.planned'
      and tasks.run_id = ${run_id} and tasks.id = planned ->> 'id'
    order by position`.execute(db);
  return rows;
}

/** Holds a run of which something is taken over, so that it is not purged before. False when this account has none of this id. */
export async function holdSource(trx: Transaction<Database>, account_id: string, run_id: string): Promise<boolean> {
  const source = await trx
    .selectFrom('runs')
    .select('run_id')
    .where('run_id', '=', run_id)
    .where('account_id', '=', account_id)
    .forKeyShare()
    .executeTakeFirst();
  return source !== undefined;
}

/** The tasks of a run that takes over a plan, and copies of the outputs that stand: nothing leads back to the source. */
export async function insertTakenTasks(
  trx: Transaction<Database>,
  run_id: string,
  source: SourceTask[],
  taken: { plan: TakenTask[]; edits: Record<string, string> },
): Promise<void> {
  const edits = new Map(Object.entries(taken.edits));
  for (const { id, position, title, description, kind, agent, model, depends_on, skills, ...was } of source) {
    const { is_reused, output_id } = taken.plan.find((task) => task.id === id)!;
    const given = edits.get(id);
    if (output_id !== null) {
      const text = given === undefined ? sql`text from texts where text_id = ${was.output_id}` : sql`${given}::text`;
      await sql`insert into texts (text_id, run_id, text) select ${output_id}, ${run_id}, ${text}`.execute(trx);
    }
    const row = { run_id, id, position, title, description, kind, agent, model, output_id, skills };
    const state = is_reused ? { status: 'completed' as const, completed_at: sql<string>`now()` } : {};
    await trx
      .insertInto('tasks')
      .values({ ...row, ...state, depends_on: JSON.stringify(depends_on) })
      .execute();
  }
}
