import type { Client } from '@temporalio/client';
import { defineSearchAttributeKey, WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { isFinished } from '../../db/runs.ts';
import type { Run } from '../../db/schema.ts';
import type { WebhookDelivery } from '../../workflows/contract/inputs.ts';
import { plain } from '../../workflows/contract/markdown.ts';
import { webhookWorkflowType } from '../../workflows/messages.ts';

const accountAttribute = defineSearchAttributeKey('OrchflowAccount', 'KEYWORD');

/** How the runs of a kind are workflows. */
export type RunWorkflow = {
  type: string;
  inputOf: (run: Run) => object | Promise<object>;
  /** What was asked for, in names and values, for operators. */
  describe: (run: Run) => [name: string, values: string[]][];
};

type Target = { client: Client; taskQueue: string };

/** Starts the workflow of a run, once: telling it twice changes nothing. Throws while the try before this one has yet to end. */
export async function sendStart({ client, taskQueue }: Target, workflow: RunWorkflow, run: Run): Promise<void> {
  const isAgain = run.attempt > 1;
  // Started before, and ended: Temporal would take it for yet another try. One that was cancelled before it could start
  // starts all the same: it has its end to tell.
  if (isAgain && isFinished(run.status) && (await startedAttempt(client, run)) === run.attempt) return;
  const input = await workflow.inputOf(run);
  try {
    await client.workflow.start(workflow.type, {
      workflowId: run.run_id,
      taskQueue,
      args: [input],
      workflowIdReusePolicy: isAgain ? 'ALLOW_DUPLICATE_FAILED_ONLY' : 'REJECT_DUPLICATE',
      staticSummary: plain(oneLine(run.task, 200)) || run.run_id,
      staticDetails: detailsOf(workflow.describe(run)),
      typedSearchAttributes: [{ key: accountAttribute, value: run.account_id }],
      memo: { attempt: run.attempt },
      // Where the server is set to, accounts take turns. What the run starts has it too.
      priority: { fairnessKey: run.account_id },
    });
  } catch (error) {
    ignoreStarted(error);
    if (isAgain && (await startedAttempt(client, run)) !== run.attempt) {
      throw new Error('The try before this one has yet to end.', { cause: error });
    }
  }
}

/** The newest try that Temporal knows. */
async function startedAttempt(client: Client, { run_id }: Run): Promise<unknown> {
  const { memo } = await client.workflow.getHandle(run_id).describe();
  return memo?.attempt;
}

/** Starts a delivery that no run starts itself: the end of one that is gone, what a person has sent again, and what is of no run. */
export async function sendWebhook(
  { client, taskQueue }: Target,
  workflowId: string,
  delivery: WebhookDelivery,
): Promise<void> {
  const staticSummary = `Webhook ${delivery.event}${delivery.redelivery ? ', again' : ''}`;
  const options = { workflowId, taskQueue, args: [delivery], staticSummary };
  await client.workflow.start(webhookWorkflowType, options).catch(ignoreStarted);
}

function ignoreStarted(error: unknown): void {
  if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
}

/** What was asked for, as Markdown, for "Details" in the Temporal Web UI. The whole goal is in Postgres. */
function detailsOf(rows: [name: string, values: string[]][]): string {
  const lines = rows
    .filter(([, values]) => values.length > 0)
    .map(([name, values]) => `- **${name}**: ${plain(oneLine(values.join(', '), 2_000))}`);
  // The Web UI cuts the panel a little short.
  return [...lines, '\n\u00A0'].join('\n');
}

function oneLine(text: string, bytes: number): string {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  if (Buffer.byteLength(line) <= bytes) return line;
  return `${new TextDecoder().decode(Buffer.from(line).subarray(0, bytes - 6)).replace(/\uFFFD$/, '')}…`;
}
