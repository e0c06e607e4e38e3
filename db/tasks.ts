import type { TaskKind } from '../workflows/messages.ts';
import type { Db } from './index.ts';

/** Stores the tasks of a plan with their descriptions; all else of them comes with the run's progress. */
export async function insertPlannedTasks(
  db: Db,
  run_id: string,
  tasks: { id: string; title: string; description: string; kind: TaskKind }[],
): Promise<void> {
  await db
    .insertInto('tasks')
    .values(
      tasks.map(({ id, title, description, kind }, position) => ({ run_id, id, position, title, description, kind })),
    )
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}
