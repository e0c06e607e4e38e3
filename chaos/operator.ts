import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { runStateQuery, waitingTasksQuery } from '../workflows/messages.ts';
import type { Random } from './random.ts';
import type { Servers } from './servers.ts';

/** What the Temporal Web UI asks of a workflow that somebody looks at, all the time. */
const queries = [runStateQuery.name, waitingTasksQuery.name, '__temporal_workflow_metadata'];

/** As long as one waits for a page. */
const patience = 3_000;
/** Of those who look at the same time. */
const eyes = 3;

/**
 * Keeps looking at runs under way, whoever they are of, by queries to their workflows, past the lines, until the signal
 * is aborted. Returns how many were answered.
 */
export async function lookAsOperator(
  { db, temporalAddress }: Servers,
  random: Random,
  signal: AbortSignal,
): Promise<number> {
  const connection = await Connection.connect({ address: temporalAddress });
  const { workflow } = new Client({ connection });
  let answered = 0;

  async function look(): Promise<void> {
    const underway = db.selectFrom('runs').select('run_id').where('status', 'in', ['running', 'waiting_human']);
    const runs = await underway.execute();
    if (runs.length === 0) return;
    const handle = workflow.getHandle(random.pick(runs).run_id);
    // Somebody looks at one for a while.
    for (let times = random.between(2, 8); times > 0 && !signal.aborted; times -= 1) {
      await connection.withDeadline(Date.now() + patience, () => handle.query(random.pick(queries)));
      answered += 1;
      await sleep(random.between(50, 300));
    }
  }

  const watching = Array.from({ length: eyes }, async () => {
    while (!signal.aborted) {
      // No worker is there, or no server, or the run has ended.
      await look().catch(() => {});
      await sleep(random.between(100, 400));
    }
  });
  await Promise.all(watching);
  await connection.close();
  return answered;
}
