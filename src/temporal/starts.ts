import type { Client } from '@temporalio/client';
import { defineSearchAttributeKey, WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { hasEnded } from '../../workflows/contract/states.ts';
import type { Run } from '../../db/schema.ts';
import { plain } from '../../workflows/contract/markdown.ts';
import { hasCode } from './client.ts';
import { found } from './deadline.ts';

const accountAttribute = defineSearchAttributeKey('OrchflowAccount', 'KEYWORD');

/** How the runs of a kind are workflows. */
export type RunWorkflow = {
  type: string;
  /** `isAgain`: its workflow is lost, and another one does what is left. */
  inputOf: (run: Run, isAgain?: boolean) => object | Promise<object>;
  /** What was asked for, in names and values, for operators. */
  describe: (run: Run) => [name: string, values: string[]][];
};

/** What a run goes on with is more than Temporal takes: 2 MB, and more never. */
export class InputTooLarge extends Error {
  override readonly name = 'InputTooLarge';
}

type Target = { client: Client; taskQueue: string };

/**
 * Starts the workflow of a run, once: telling it twice changes nothing. Throws while the try before this one has yet to end.
 * With `isAgain` it takes the place of whatever workflow there is of the run, also of one that goes on. @throws `InputTooLarge`
 */
export async function sendStart(
  { client, taskQueue }: Target,
  workflow: RunWorkflow,
  run: Run,
  isAgain = false,
): Promise<void> {
  const isRetried = run.attempt > 1 && !isAgain;
  // It has ended since it was to be started again. One that was cancelled before it could start has that to tell.
  const isOver = hasEnded(run.status) && run.status !== 'cancelled';
  if ((run.attempt > 1 || isAgain) && isOver) return;
  const started = isRetried ? await findStarted(client, run) : undefined;
  // It was started before. One that is over there and not here was ended with a Temporal, or for a database, of another time.
  if (started?.attempt === run.attempt && (started.isRunning || hasEnded(run.status))) return;
  const input = await workflow.inputOf(run, isAgain);
  try {
    await client.workflow.start(workflow.type, {
      workflowId: run.run_id,
      taskQueue,
      args: [input],
      ...(isAgain
        ? { workflowIdReusePolicy: 'ALLOW_DUPLICATE', workflowIdConflictPolicy: 'TERMINATE_EXISTING' }
        : { workflowIdReusePolicy: isRetried ? 'ALLOW_DUPLICATE' : 'REJECT_DUPLICATE' }),
      staticSummary: plain(oneLine(run.task, 200)) || run.run_id,
      staticDetails: detailsOf(workflow.describe(run)),
      memo: { attempt: run.attempt },
      // One that is purged starts too, to be cancelled: so what comes after it in the outbox is told in its order.
      ...(run.account_id !== null && ofAccount(run.account_id)),
    });
  } catch (error) {
    if (isTooLarge(error)) throw new InputTooLarge(tooLarge, { cause: error });
    ignoreStarted(error);
    if (isRetried && (await findStarted(client, run))?.attempt !== run.attempt) {
      throw new Error('The try before this one has yet to end.', { cause: error });
    }
  }
}

/** What all that works for an account carries. */
export function ofAccount(account_id: string) {
  return {
    typedSearchAttributes: [{ key: accountAttribute, value: account_id }],
    // Where the server is set to, accounts take turns. What the run starts has it too.
    priority: { fairnessKey: account_id },
  };
}

/** The newest try that Temporal knows; undefined when it knows none. */
async function findStarted(
  client: Client,
  { run_id }: Run,
): Promise<{ attempt: unknown; isRunning: boolean } | undefined> {
  const workflow = await found(client.workflow.getHandle(run_id).describe());
  return workflow && { attempt: workflow.memo?.attempt, isRunning: workflow.status.name === 'RUNNING' };
}

const tooLarge =
  'What this run has done so far is more than the 2 MB with which Temporal lets it go on: many executions of steps, with long ' +
  'names and keys. Divide it into several runs.';

const grpcInvalidArgument = 3;

function isTooLarge(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return hasCode(cause, grpcInvalidArgument) && /size exceeds limit/.test(String(cause));
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
