import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  ParentClosePolicy,
  proxyActivities,
  startChild,
} from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import type { Activities } from '../activities/index.ts';
import type { RunDelivery } from './contract/inputs.ts';

const { deliverWebhook } = proxyActivities<Activities>({
  startToCloseTimeout: '60s',
  // Those of 0.1.0 say themselves when to try again, and when no more.
  retry: { initialInterval: '5s' },
});

/**
 * Has one event sent to a webhook: it waits in Postgres from then on. A workflow of its own, left to itself by the run that
 * starts it, so that a run waits for nothing of it.
 */
export async function webhookDelivery(delivery: RunDelivery): Promise<void> {
  try {
    await deliverWebhook.executeWithOptions({ summary: `${delivery.event} of ${delivery.run_id}` }, [delivery]);
  } catch (error) {
    // Of activities of 0.1.0, when an event was given up.
    if (!(error instanceof ActivityFailure)) throw error;
    throw ApplicationFailure.nonRetryable(
      `The webhook was not delivered: ${error.cause?.message}`,
      'WebhookNotDelivered',
    );
  }
}

export type Webhooks = ReturnType<typeof createWebhooks>;

/**
 * Starts the deliveries of a run; `enabled` says whether it has a webhook. `started` resolves when Temporal has all of
 * them, which a run awaits before it ends: a child that its parent has not started is lost with it. `sent` counts them.
 */
export function createWebhooks(run_id: string, enabled: boolean, sent = 0) {
  const starts = new Set<Promise<unknown>>();

  /** To the run's own webhook. */
  function send(event: string, waiting_tasks: string[]): void {
    if (enabled) startDelivery({ event, waiting_tasks });
  }

  /** To the escalation webhook of this entry of `human_gates`, or of the run when null. */
  function escalate(event: string, waiting_tasks: string[], human_gate: number | null): void {
    startDelivery({ event, waiting_tasks, escalates: { human_gate } });
  }

  function startDelivery(delivery: Omit<RunDelivery, 'run_id' | 'sequence'>): void {
    sent += 1;
    const sequence = sent;
    const start = CancellationScope.nonCancellable(() =>
      startChild(webhookDelivery, {
        workflowId: `${run_id}/webhook/${sequence}`,
        args: [{ run_id, sequence, ...delivery }],
        parentClosePolicy: ParentClosePolicy.ABANDON,
        staticSummary: `Webhook ${delivery.event}${delivery.escalates ? ' (escalation)' : ''}`,
      }),
    );
    // After an operator's reset the delivery may exist already: it was sent.
    const started: Promise<unknown> = start.then(
      () => starts.delete(started),
      (error) =>
        error instanceof WorkflowExecutionAlreadyStartedError ? starts.delete(started) : Promise.reject(error),
    );
    starts.add(started);
  }

  return {
    send,
    escalate,
    started: () => Promise.all(starts),
    isAtRest: () => starts.size === 0,
    sent: () => sent,
  };
}
