import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { orchestrationWorkflowType, runWorkflowType } from '../workflows/messages.ts';
import type { Outside } from './outside.ts';
import type { Servers } from './servers.ts';

const ofRuns = `WorkflowType IN ("${runWorkflowType}", "${orchestrationWorkflowType}")`;

/**
 * No run is under way, Temporal has heard of everything and lists every run as ended, and no call is open: what is looked
 * at then does not change under the eyes. Runs end for their readers first, and Temporal's list is late.
 */
export async function untilQuiet({ db, temporalAddress }: Servers, { model }: Outside): Promise<void> {
  const connection = await Connection.connect({ address: temporalAddress });
  const { workflow } = new Client({ connection });
  const count = async (query: string) => (await workflow.count(query)).count;

  async function isQuiet(): Promise<boolean> {
    const runs = await db.selectFrom('runs').select('status').execute();
    const unsent = await db.selectFrom('outbox').select('outbox_id').execute();
    const isActive = runs.some(({ status }) => ['pending', 'running', 'waiting_human'].includes(status));
    if (isActive || unsent.length > 0 || model.openCalls > 0) return false;
    const underway = await count(`${ofRuns} AND ExecutionStatus = "Running"`);
    return underway === 0 && (await count(`${ofRuns} AND ExecutionStatus != "Running"`)) >= runs.length;
  }

  try {
    while (!(await isQuiet().catch(() => false))) await sleep(200);
  } finally {
    await connection.close();
  }
}
