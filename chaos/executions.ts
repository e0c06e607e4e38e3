import type { Client, WorkflowHandle } from '@temporalio/client';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { workflowBundle } from '../src/temporal/workflow-bundle.ts';
import { steerSignal } from '../workflows/messages.ts';

/** What Temporal has of the runs of chaos. */

export type Execution = Awaited<ReturnType<typeof readExecutions>>[number];

/** The newest execution of each workflow: a run continues as new, and one that has failed may be tried again. */
export function joinChains(executions: Execution[]): Execution[] {
  const chains = Map.groupBy(executions, ({ workflow_id }) => workflow_id);
  return [...chains.values()].map((chain) => {
    const inOrder = chain.toSorted((a, b) => a.started_at - b.started_at);
    return {
      ...inOrder.at(-1)!,
      text: inOrder.map(({ text }) => text).join('\n'),
      steerings: inOrder.flatMap(({ steerings }) => steerings),
    };
  });
}

export async function readExecutions({ workflow }: Client) {
  const executions = [];
  for await (const { workflowId, type, status, runId, startTime, memo } of workflow.list()) {
    const handle = workflow.getHandle(workflowId, runId);
    const history = await handle.fetchHistory();
    const pending =
      status.name === 'RUNNING' ? JSON.stringify((await handle.describe()).raw.pendingActivities ?? []) : '';
    const name = status.name as string;
    const [started_at, attempt] = [startTime.getTime(), Number(memo?.attempt ?? 1)];
    executions.push({
      workflow_id: workflowId,
      type,
      status: name,
      attempt,
      started_at,
      pending,
      history,
      text: textOf(history),
      steerings: steeringsIn(history),
    });
  }
  return executions;
}

/** The numbers of what its workflow was told to do to its tasks, as they came. */
function steeringsIn({ events }: Awaited<ReturnType<WorkflowHandle['fetchHistory']>>): number[] {
  return (events ?? []).flatMap(({ workflowExecutionSignaledEventAttributes: signal }) => {
    if (signal?.signalName !== steerSignal.name) return [];
    const [sent] = signal.input!.payloads!;
    return [(JSON.parse(Buffer.from(sent!.data!).toString()) as { n: number }).n];
  });
}

/** Payloads are base64 there: as text, so that one can search in them. */
function textOf(history: object): string {
  return JSON.stringify(history, (key, value: unknown) =>
    key === 'data' && typeof value === 'string' ? Buffer.from(value, 'base64').toString() : value,
  );
}

export async function replay(executions: Execution[]): Promise<string[]> {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  const bundle = await workflowBundle({ encrypts: false });
  const histories = executions.map(({ workflow_id, history }) => ({ workflowId: workflow_id, history }));
  const results = Worker.runReplayHistories({ workflowBundle: bundle }, histories);
  const all = await Array.fromAsync(results);
  return all.flatMap(({ workflowId, error }) => (error ? [`${workflowId}: ${error.message}`] : []));
}
