import type { TaskKind } from '../workflows/contract/states.ts';
import type { Db } from './index.ts';
import { lockRun } from './progress.ts';
import { isFinished } from './runs.ts';

/**
 * Stores the tasks of a plan with their descriptions; all else of them comes with the run's progress. A run that was
 * cancelled meanwhile gets none: nobody would close them.
 */
export async function insertPlannedTasks(
  db: Db,
  run_id: string,
  tasks: { id: string; title: string; description: string; kind: TaskKind }[],
): Promise<void> {
  await db.transaction().execute(async (trx) => {
    const run = await lockRun(trx, run_id);
    if (isFinished(run.status)) return;
    await trx
      .insertInto('tasks')
      .values(
        tasks.map(({ id, title, description, kind }, position) => ({ run_id, id, position, title, description, kind })),
      )
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  });
}

/** What a task is about, where that is known only when it begins. */
export async function describeTask(
  db: Db,
  { run_id, id }: { run_id: string; id: string },
  description: string,
): Promise<void> {
  await db.updateTable('tasks').set({ description }).where('run_id', '=', run_id).where('id', '=', id).execute();
}
