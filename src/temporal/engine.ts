import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import type { Db } from '../../db/index.ts';
import type { OutboxEntry } from '../../db/outbox.ts';
import { getRun } from '../../db/runs.ts';
import type { RunKind } from '../../db/schema.ts';
import { completeTaskSignal } from '../../workflows/messages.ts';
import { withDeadline } from './deadline.ts';
import { sendStart, sendWebhook, type RunWorkflow } from './starts.ts';
import { findLiveState, findServerVersion, isGone, listTerminated, listUncancelled } from './visibility.ts';

export type Engine = ReturnType<typeof createEngine>;

type EngineDeps = { client: Client; db: Db; taskQueue: string; workflows: Record<RunKind, RunWorkflow> };

/** What a process asks of Temporal: that it is told what was committed for it, and what it knows of runs. */
export function createEngine(deps: EngineDeps) {
  const { client, workflows } = deps;
  const types = Object.values(workflows).map(({ type }) => type);
  return {
    deliver: (entry: OutboxEntry) => deliver(deps, entry),
    findLiveState: (run_id: string) => findLiveState(client, run_id),
    findServerVersion: () => findServerVersion(client),
    listTerminated: (since: Date) => listTerminated(client, types, since),
    isGone: (run_id: string) => isGone(client, run_id),
    listUncancelled: (run_ids: string[]) => listUncancelled(client, run_ids),
  };
}

/**
 * Tells Temporal what an outbox entry says. Telling it twice changes nothing: a run starts once by its id, a gate is
 * answered once by its id. A run that has ended needs no answer and no cancellation any more: then it resolves to false.
 * @throws when Temporal did not take it.
 */
async function deliver(deps: EngineDeps, entry: OutboxEntry): Promise<boolean> {
  try {
    await withDeadline(deps.client, () => send(deps, entry));
    return true;
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
    return false;
  }
}

async function send(deps: EngineDeps, { run_id: of, message }: OutboxEntry): Promise<void> {
  const { client, db, workflows } = deps;
  // All but deliveries are of a run.
  const run_id = of!;
  switch (message.kind) {
    case 'start': {
      const run = await getRun(db, run_id);
      return sendStart(deps, workflows[run.kind], run);
    }
    case 'complete_task': {
      const { kind: _, ...answer } = message;
      return client.workflow.getHandle(run_id).signal(completeTaskSignal, answer);
    }
    case 'cancel':
      return void (await client.workflow.getHandle(run_id).cancel());
    case 'webhook': {
      const { event } = message;
      return sendWebhook(deps, `${run_id}/webhook/${event}`, { run_id, sequence: event, event, waiting_tasks: [] });
    }
    case 'redeliver': {
      const { kind: _, ...delivery } = message;
      const { delivery_id, event, redelivery } = delivery;
      if (of === null) return sendWebhook(deps, `webhook/${delivery_id}/redelivery/${redelivery}`, delivery);
      // Named as its run names it, so that a worker of 0.1.0 can take it.
      const sequence = delivery_id.slice(`msg_${of}_`.length);
      const workflowId = `${of}/webhook/${sequence}/redelivery/${redelivery}`;
      return sendWebhook(deps, workflowId, { run_id: of, sequence, event, waiting_tasks: [], redelivery });
    }
  }
}
