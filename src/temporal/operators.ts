import type { Client } from '@temporalio/client';
import type { SentAnswer } from '../../workflows/contract/gate-rules.ts';
import { completeTaskSignal } from '../../workflows/messages.ts';
import { withDeadline } from './deadline.ts';
import { readPayload } from './payloads.ts';

/** How far back an operator is looked for: what they did has just happened. */
const pageSize = 200;
const mostPages = 5;

type HistoryEvent = NonNullable<
  NonNullable<Awaited<ReturnType<Client['workflowService']['getWorkflowExecutionHistoryReverse']>>['history']>['events']
>[number];

export type Operators = ReturnType<typeof createOperators>;

/**
 * Who operators are that work in Temporal by hand, in its Web UI or with its command line: by the identity that the server
 * keeps with what they did. A workflow does not see it. Undefined where it cannot be found out now.
 */
export function createOperators(client: Client) {
  /** Of the first signal since `since` that is this answer. */
  async function findAnswering(
    run_id: string,
    { task_id, gate_id, decision, since }: { task_id: string; gate_id: string; decision: string; since: string },
  ): Promise<string | undefined> {
    let identity: string | undefined;
    for await (const event of newestFirst(run_id)) {
      if (Number(event.eventTime?.seconds ?? 0) < Math.floor(Date.parse(since) / 1_000)) break;
      const signal = event.workflowExecutionSignaledEventAttributes;
      if (signal?.signalName !== completeTaskSignal.name) continue;
      const answer = await readPayload<SentAnswer>(client, signal.input?.payloads?.[0]);
      const isIt =
        answer?.task_id === task_id &&
        answer.output_id === undefined &&
        (answer.gate_id ?? gate_id) === gate_id &&
        (answer.decision ?? 'approve') === decision;
      if (isIt) identity = signal.identity || undefined;
    }
    return identity;
  }

  /** Of the request that cancels a run. */
  async function findCancelling(run_id: string): Promise<string | undefined> {
    for await (const event of newestFirst(run_id)) {
      const request = event.workflowExecutionCancelRequestedEventAttributes;
      if (request) return request.identity || undefined;
    }
    return undefined;
  }

  async function* newestFirst(workflowId: string): AsyncGenerator<HistoryEvent> {
    const { namespace } = client.options;
    let nextPageToken: Uint8Array | undefined;
    for (let page = 0; page < mostPages; page += 1) {
      const request = { namespace, execution: { workflowId }, maximumPageSize: pageSize, nextPageToken };
      const read = () => client.workflowService.getWorkflowExecutionHistoryReverse(request);
      const answer = await withDeadline(client, read).catch(() => undefined);
      yield* answer?.history?.events ?? [];
      nextPageToken = answer?.nextPageToken;
      if (!nextPageToken?.length) return;
    }
  }

  return { findAnswering, findCancelling };
}
