import type { Client } from '@temporalio/client';
import { Worker } from '@temporalio/worker';
import { inject } from 'vitest';
import { hasCode } from '../../src/temporal/client.ts';
import type { Orchflow } from './orchflow.ts';

/** As gRPC numbers it. */
const notFound = 5;

/** The histories of a run: more than one when it has continued as new. The newest is first. */
export async function fetchHistories(client: Client, workflowId: string) {
  const histories = [await client.workflow.getHandle(workflowId).fetchHistory()];
  for (;;) {
    const [started] = histories.at(-1)!.events!;
    const before = started!.workflowExecutionStartedEventAttributes!.continuedExecutionRunId;
    if (!before) return histories;
    histories.push(await client.workflow.getHandle(workflowId, before).fetchHistory());
  }
}

/**
 * Replays the histories of all runs of this Orchflow, as a worker does that takes over a run after a crash.
 * Throws when one cannot be replayed: such a run would stand still for ever.
 */
export async function replayHistories({ db, client }: Orchflow): Promise<void> {
  const runs = await db.selectFrom('runs').select(['run_id', 'started_at']).execute();
  async function* histories() {
    for (const { run_id: workflowId, started_at } of runs) {
      const fetched = await fetchHistories(client, workflowId).catch((error: unknown) => {
        // One that was to begin later, and never did.
        if (started_at === null && hasCode(error, notFound)) return [];
        throw error;
      });
      for (const history of fetched) yield { workflowId, history };
    }
  }
  const options = { workflowBundle: { codePath: inject('workflowBundle') } };
  const failures: string[] = [];
  for await (const { workflowId, error } of Worker.runReplayHistories(options, histories())) {
    if (error) failures.push(`${workflowId}: ${error.message}`);
  }
  if (failures.length) throw new Error(`Not replayable:\n${failures.join('\n')}`);
}
