import type { Client } from '@temporalio/client';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { indexingWorkflowId, indexingWorkflowType, type IndexingRef } from '../../workflows/contract/knowledge.ts';
import { found, withDeadline } from './deadline.ts';
import { ofAccount } from './starts.ts';

/** Starts the workflow that indexes a document, once: telling it twice changes nothing. */
export async function startIndexing(
  { client, taskQueue }: { client: Client; taskQueue: string },
  { account_id, document_id, attempt }: IndexingRef & { account_id: string },
): Promise<void> {
  try {
    await client.workflow.start(indexingWorkflowType, {
      workflowId: indexingWorkflowId({ document_id, attempt }),
      taskQueue,
      args: [{ document_id, attempt } satisfies IndexingRef],
      workflowIdReusePolicy: 'REJECT_DUPLICATE',
      staticSummary: `Indexes ${document_id}`,
      ...ofAccount(account_id),
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
}

/** Ends the workflow of a document that is deleted. Throws `WorkflowNotFoundError` where it has ended, or has not begun. */
export async function endIndexing({ client }: { client: Client }, document: IndexingRef): Promise<void> {
  await client.workflow.getHandle(indexingWorkflowId(document)).cancel();
}

/** What Temporal knows of an indexing. `terminated`: it could not write its end, nor will it. */
export type KnownIndexing = 'unknown' | 'goes_on' | 'terminated' | 'ended';

export async function findIndexing(client: Client, document: IndexingRef): Promise<KnownIndexing> {
  const handle = client.workflow.getHandle(indexingWorkflowId(document));
  const workflow = await found(withDeadline(client, () => handle.describe()));
  if (!workflow) return 'unknown';
  if (!workflow.closeTime) return 'goes_on';
  return ['TERMINATED', 'TIMED_OUT'].includes(workflow.status.name) ? 'terminated' : 'ended';
}
