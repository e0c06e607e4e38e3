import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import type { RunState } from '../../workflows/contract/states.ts';
import { runStateQuery } from '../../workflows/messages.ts';
import { found, withDeadline } from './deadline.ts';

/** Within the time for the answer to a read. gRPC itself overruns its deadline by a second when nobody is there. */
const readDeadline_ms = 1_500;

/** The state that the workflow itself holds, or undefined when it cannot be asked: no worker, no Temporal, no history. */
export function findLiveState(client: Client, run_id: string): Promise<RunState | undefined> {
  return read(client, () => client.workflow.getHandle(run_id).query(runStateQuery));
}

/** The server's version, or undefined when it does not answer. */
export async function findServerVersion(client: Client): Promise<string | undefined> {
  const info = await read(client, () => client.workflowService.getSystemInfo({}));
  return info?.serverVersion ?? undefined;
}

/** What a client waits for: undefined when Temporal does not answer in time. */
function read<T>(client: Client, call: () => Promise<T>): Promise<T | undefined> {
  const answer = withDeadline(client, call).catch(() => undefined);
  return Promise.race([answer, sleep(readDeadline_ms, undefined, { ref: false })]);
}

/** The ids of workflows that were terminated, or timed out, after `since`, and so could not write that themselves. */
export function listTerminated(client: Client, types: string[], since: Date): Promise<string[]> {
  const closed = `ExecutionStatus IN ("Terminated", "TimedOut") AND CloseTime > "${since.toISOString()}"`;
  const query = `WorkflowType IN (${quoted(types)}) AND ${closed}`;
  const list = () => Array.fromAsync(client.workflow.list({ query }), ({ workflowId }) => workflowId);
  return withDeadline(client, list);
}

/** The runs of this task queue whose workflows go on, in any order; those of one account, if it is given. */
export async function* listRunning(
  client: Client,
  { types, taskQueue, account_id }: { types: string[]; taskQueue: string; account_id?: string },
): AsyncGenerator<string> {
  const ofAccount = account_id === undefined ? '' : ` AND OrchflowAccount = "${account_id}"`;
  const query = `WorkflowType IN (${quoted(types)}) AND ExecutionStatus = "Running" AND TaskQueue = "${taskQueue}"${ofAccount}`;
  for await (const { workflowId } of client.workflow.list({ query })) yield workflowId;
}

/** Ends this execution of a run's workflow, with a reason that operators read. One that has ended stays as it is. */
export async function terminate(client: Client, run_id: string, execution: string, reason: string): Promise<void> {
  const handle = client.workflow.getHandle(run_id, execution);
  await found(withDeadline(client, () => handle.terminate(reason)));
}

/** True when this workflow was terminated, or timed out. One that was reset goes on under the same id. */
export async function isGone(client: Client, run_id: string): Promise<boolean> {
  const { status } = await withDeadline(client, () => client.workflow.getHandle(run_id).describe());
  return status.name === 'TERMINATED' || status.name === 'TIMED_OUT';
}

/** Those of these runs that go on in Temporal and were not asked to stop there. */
export async function listUncancelled(client: Client, run_ids: string[]): Promise<string[]> {
  if (run_ids.length === 0) return [];
  const query = `ExecutionStatus = "Running" AND WorkflowId IN (${quoted(run_ids)})`;
  const running = await withDeadline(client, () => Array.fromAsync(client.workflow.list({ query })));
  const uncancelled = running.map(async ({ workflowId }) => {
    // What is listed may be old.
    const { status, raw } = await withDeadline(client, () => client.workflow.getHandle(workflowId).describe());
    return status.name === 'RUNNING' && !raw.workflowExtendedInfo?.cancelRequested ? [workflowId] : [];
  });
  return (await Promise.all(uncancelled)).flat();
}

/**
 * How far a run is from its end. `over`: nothing of it goes on, neither its workflow nor, where it `may_send` any, one that
 * sends a webhook of it. `is_ending`: it was asked to stop, or has webhooks to send.
 */
export async function findEnd(
  client: Client,
  run_id: string,
  may_send: boolean,
): Promise<'goes_on' | 'is_ending' | 'over'> {
  const workflow = await found(withDeadline(client, () => client.workflow.getHandle(run_id).describe()));
  if (workflow && !workflow.closeTime) {
    return workflow.raw.workflowExtendedInfo?.cancelRequested ? 'is_ending' : 'goes_on';
  }
  if (!may_send) return 'over';
  const query = `ExecutionStatus = "Running" AND WorkflowId STARTS_WITH "${run_id}/"`;
  const { count } = await withDeadline(client, () => client.workflow.count(query));
  return count > 0 ? 'is_ending' : 'over';
}

function quoted(values: string[]): string {
  return values.map((value) => `"${value}"`).join(', ');
}
