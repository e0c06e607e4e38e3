import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { heardOf } from '../../db/goal-runs.ts';
import type { Db } from '../../db/index.ts';
import type { OutboxEntry } from '../../db/outbox.ts';
import { getRun } from '../../db/runs.ts';
import type { RunKind } from '../../db/schema.ts';
import { sendSteeringsAgain } from '../../db/steering.ts';
import { insertRunDelivery, queueDelivery } from '../../db/webhooks.ts';
import {
  changeTermsSignal,
  completeTaskSignal,
  holdSignal,
  releaseSignal,
  steerSignal,
} from '../../workflows/messages.ts';
import {
  indexingOf,
  indexingWorkflowId,
  indexingWorkflowType,
  type IndexingRef,
} from '../../workflows/contract/knowledge.ts';
import { withDeadline } from './deadline.ts';
import { findKnownRun } from './histories.ts';
import { endIndexing, findIndexing, startIndexing } from './indexing.ts';
import { sendStart, type RunWorkflow } from './starts.ts';
import {
  findEnd,
  findLiveState,
  findServerVersion,
  isGone,
  listRunning,
  listTerminated,
  listUncancelled,
  terminate,
} from './visibility.ts';

export type Engine = ReturnType<typeof createEngine>;

type EngineDeps = { client: Client; db: Db; taskQueue: string; workflows: Record<RunKind, RunWorkflow> };

/** What a process asks of Temporal: that it is told what was committed for it, and what it knows of runs. */
export function createEngine(deps: EngineDeps) {
  const { client, workflows, taskQueue } = deps;
  const types = Object.values(workflows).map(({ type }) => type);
  return {
    deliver: (entry: OutboxEntry) => deliver(deps, entry),
    findLiveState: (run_id: string) => findLiveState(client, run_id),
    findEnd: (run_id: string, may_send: boolean) => findEnd(client, run_id, may_send),
    findServerVersion: () => findServerVersion(client),
    listTerminated: (since: Date) => listTerminated(client, types, since),
    listTerminatedIndexings: async (since: Date) =>
      (await listTerminated(client, [indexingWorkflowType], since)).map(indexingOf),
    isIndexingGone: (document: IndexingRef) => isGone(client, indexingWorkflowId(document)),
    findIndexing: (document: IndexingRef) => findIndexing(client, document),
    isGone: (run_id: string) => isGone(client, run_id),
    listUncancelled: (run_ids: string[]) => listUncancelled(client, run_ids),
    findKnownRun: (run_id: string, writers: string[]) => findKnownRun(client, run_id, writers),
    listRunning: (account_id?: string) => listRunning(client, { types, taskQueue, account_id }),
    terminate: (run_id: string, execution: string, reason: string) => terminate(client, run_id, execution, reason),
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

async function send(deps: EngineDeps, { run_id: of, message, created_at }: OutboxEntry): Promise<void> {
  const { client, db, workflows } = deps;
  // All but deliveries and documents are of a run.
  const run_id = of!;
  const said_at = Date.parse(created_at);
  switch (message.kind) {
    case 'start': {
      const run = await getRun(db, run_id);
      await sendStart(deps, workflows[run.kind], run, message.isAgain);
      // Of what the try before has not heard; what was told meanwhile came to that one.
      if (!message.isAgain && run.kind === 'goal' && run.attempt > 1)
        await sendSteeringsAgain(db, run_id, heardOf(run));
      return;
    }
    case 'complete_task': {
      const { kind: _, ...answer } = message;
      return client.workflow.getHandle(run_id).signal(completeTaskSignal, answer, said_at);
    }
    case 'hold':
      return client.workflow.getHandle(run_id).signal(holdSignal, null, said_at);
    case 'release':
      return client.workflow.getHandle(run_id).signal(releaseSignal, null, said_at);
    case 'terms':
      return client.workflow.getHandle(run_id).signal(changeTermsSignal, message.n, said_at);
    case 'steer':
      return client.workflow.getHandle(run_id).signal(steerSignal, message.steering, said_at);
    case 'cancel':
      return void (await client.workflow.getHandle(run_id).cancel());
    case 'index_document':
      return startIndexing(deps, message);
    case 'end_indexing':
      return endIndexing(deps, message);
    case 'webhook':
      return insertRunDelivery(db, { run_id, sequence: message.event, event: message.event, waiting_tasks: [] });
    case 'redeliver':
      return queueDelivery(db, message.delivery_id);
    default:
      // Of a newer release beside this one, which delivers it then.
      throw new Error(`This release does not know ${JSON.stringify(message satisfies never)}.`);
  }
}
