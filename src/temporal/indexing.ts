import type { Client } from '@temporalio/client';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { indexingWorkflowId, indexingWorkflowType, type IndexingRef } from '../../workflows/contract/knowledge.ts';
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
