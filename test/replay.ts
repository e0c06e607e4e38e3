import { Worker } from '@temporalio/worker';
import { inject } from 'vitest';
import type { Orchflow } from './harness.ts';

/**
 * Replays the histories of all runs of this Orchflow, as a worker does that takes over a run after a crash.
 * Throws when one cannot be replayed: such a run would stand still for ever.
 */
export async function replayHistories({ db, client }: Orchflow): Promise<void> {
  const runs = await db.selectFrom('runs').select('run_id').execute();
  async function* histories() {
    for (const { run_id: workflowId } of runs) {
      yield { workflowId, history: await client.workflow.getHandle(workflowId).fetchHistory() };
    }
  }
  const options = { workflowBundle: { codePath: inject('workflowBundle') } };
  const failures: string[] = [];
  for await (const { workflowId, error } of Worker.runReplayHistories(options, histories())) {
    if (error) failures.push(`${workflowId}: ${error.message}`);
  }
  if (failures.length) throw new Error(`Not replayable:\n${failures.join('\n')}`);
}
