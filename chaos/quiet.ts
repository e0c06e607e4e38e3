import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { sql } from 'kysely';
import type { Db } from '../db/index.ts';
import { agentWorkflowType, orchestrationWorkflowType, runWorkflowType } from '../workflows/messages.ts';
import { indexingWorkflowType } from '../workflows/contract/knowledge.ts';
import type { Outside } from './outside.ts';
import type { Servers } from './servers.ts';

const ofRuns = `WorkflowType IN ("${runWorkflowType}", "${orchestrationWorkflowType}", "${agentWorkflowType}")`;
/** Of a run that has continued as new, the last execution alone has. */
const hasEnded = 'ExecutionStatus != "Running" AND ExecutionStatus != "ContinuedAsNew"';
const ofDocuments = `WorkflowType = "${indexingWorkflowType}"`;

/**
 * No run is under way and no document, Temporal has heard of everything and lists every run as ended, no call is open, and what is left of
 * purged runs is gone, unless a webhook of it waits: what is looked at then does not change under the eyes. Runs end for
 * their readers first, and Temporal's list is late.
 */
export async function untilQuiet({ db, temporalAddress }: Servers, { model }: Outside): Promise<void> {
  const connection = await Connection.connect({ address: temporalAddress });
  const { workflow } = new Client({ connection });
  const count = async (query: string) => (await workflow.count(query)).count;

  async function isQuiet(): Promise<boolean> {
    const runs = await db.selectFrom('runs').select('status').execute();
    const unsent = await db.selectFrom('outbox').select('outbox_id').execute();
    const isActive = runs.some(({ status }) => ['pending', 'running', 'waiting_human'].includes(status));
    if (isActive || unsent.length > 0 || model.openCalls > 0 || (await isIndexing(db))) return false;
    await lookForPurgedSoon(db);
    if (await hasPurged(db)) return false;
    const underway = await count(`(${ofRuns} OR ${ofDocuments}) AND ExecutionStatus = "Running"`);
    return underway === 0 && (await count(`${ofRuns} AND ${hasEnded}`)) >= (await countBegun(db));
  }

  try {
    while (!(await isQuiet().catch(() => false))) await sleep(200);
  } finally {
    await connection.close();
  }
}

async function isIndexing(db: Db): Promise<boolean> {
  const one = db.selectFrom('documents').select('document_id').where('status', 'in', ['pending', 'indexing']).limit(1);
  return (await one.executeTakeFirst()) !== undefined;
}

/** Of the runs that are there: of one that was cancelled before it began, Temporal knows nothing. */
async function countBegun(db: Db): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::integer as count from runs where run_id in (select run_id from begun)`.execute(db);
  return rows[0]!.count;
}

/** The longer ago a run was purged, the later the next look at it is due: that much would be waited for in vain. */
async function lookForPurgedSoon(db: Db): Promise<void> {
  await sql`update purged_runs set due_at = now() where due_at > now() + interval '12 seconds'`.execute(db);
}

async function hasPurged(db: Db): Promise<boolean> {
  const { rows } = await sql`
    select from purged_runs
    where not exists (select from webhook_deliveries as sent where sent.run_id = purged_runs.run_id)
    limit 1`.execute(db);
  return rows.length > 0;
}
