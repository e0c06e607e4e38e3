import { setTimeout as sleep } from 'node:timers/promises';
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { defineSearchAttributeKey, WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import type { Db } from '../db/index.ts';
import type { OutboxEntry } from '../db/outbox.ts';
import { listStepTasks } from '../db/orchestration-retries.ts';
import { findDefinition } from '../db/orchestrations.ts';
import { getRun, isFinished } from '../db/runs.ts';
import type { Run } from '../db/schema.ts';
import { gateName } from '../workflows/plan.ts';
import { outlineOf } from '../workflows/definition.ts';
import {
  completeTaskSignal,
  orchestrationWorkflowType,
  runStateQuery,
  runWorkflowType,
  webhookWorkflowType,
  type Carried,
  type RunInput,
  type RunState,
  type WebhookDelivery,
} from '../workflows/messages.ts';
import type { OrchestrationInput } from '../workflows/orchestration-state.ts';
import { gatePolicies } from './gate-policy.ts';
import { firstState } from './orchestrations/first-state.ts';

const accountAttribute = defineSearchAttributeKey('OrchflowAccount', 'KEYWORD');

/** Without one, a call to a Temporal that is down blocks for more than ten seconds. */
const deadline_ms = 2_500;
/** Within the time for the answer to a read. gRPC itself overruns its deadline by a second when nobody is there. */
const readDeadline_ms = 1_500;

export type Engine = ReturnType<typeof createEngine>;

/** What the API asks of Temporal. The only file of the API that speaks to it. */
export function createEngine({
  client,
  db,
  taskQueue,
  historyLimit,
}: {
  client: Client;
  db: Db;
  taskQueue: string;
  /** Events after which a run continues as new; by default when Temporal suggests it. */
  historyLimit?: number;
}) {
  function withDeadline<T>(call: () => Promise<T>): Promise<T> {
    return client.withDeadline(Date.now() + deadline_ms, call);
  }

  function start(run: Run): Promise<void> {
    return run.orchestration_id === null ? startRun(run) : startOrchestration(run);
  }

  async function startRun(run: Run): Promise<void> {
    const input: RunInput = {
      run_id: run.run_id,
      agents: run.agents.map(({ name, model }) => ({ name, model })),
      require_approval: run.require_approval,
      has_webhook: run.webhook_url !== null,
      on_budget: run.on_budget,
      plan: run.plan ?? undefined,
      ...gatePolicies(run),
      history_limit: historyLimit,
    };
    await startWorkflow(runWorkflowType, run, input);
  }

  /** Again, when it failed and is tried anew: with what it has done so far. */
  async function startOrchestration(run: Run): Promise<void> {
    const { run_id, attempt } = run;
    // Started before, and ended: Temporal would take it for yet another try. One that was cancelled before it could start
    // starts all the same: it has its end to tell.
    if (attempt > 1 && isFinished(run.status) && (await startedAttempt(run)) === attempt) return;
    const definition_hash = run.definition_hash!;
    const definition = await findDefinition(db, definition_hash);
    const input: OrchestrationInput = {
      run_id,
      has_webhook: run.webhook_url !== null,
      definition_hash,
      definition: outlineOf(definition),
      shared_state: firstState(run_id, definition, run.task).refs,
      on_budget: run.on_budget,
      attempt,
      history_limit: historyLimit,
      ...(attempt > 1 && { carried: await carriedOver(run) }),
    };
    await startWorkflow(orchestrationWorkflowType, run, input);
  }

  /** What is left of the tries before this one. Their webhooks have numbers of their own. */
  async function carriedOver({ run_id, attempt, version, warnings }: Run): Promise<Carried> {
    const tasks = await listStepTasks(db, run_id);
    const state: RunState = {
      run_id,
      status: 'running',
      phase: 'execute',
      tasks,
      warnings,
      error: null,
      final_output_id: null,
    };
    return { state, version, answers: [], openings: [], webhooks: (attempt - 1) * 1_000_000 };
  }

  async function startWorkflow(type: string, run: Run, input: RunInput | OrchestrationInput): Promise<void> {
    await client.workflow
      .start(type, {
        workflowId: run.run_id,
        taskQueue,
        args: [input],
        workflowIdReusePolicy: run.attempt > 1 ? 'ALLOW_DUPLICATE_FAILED_ONLY' : 'REJECT_DUPLICATE',
        staticSummary: oneLine(run.task, 200) || run.run_id,
        staticDetails: describeRequest(run),
        typedSearchAttributes: [{ key: accountAttribute, value: run.account_id }],
        memo: { attempt: run.attempt },
      })
      .catch((error) => ignoreStarted(error) ?? requireAttempt(run));
  }

  /** Throws while the try before this one has yet to end in Temporal. */
  async function requireAttempt(run: Run): Promise<void> {
    if (run.attempt > 1 && (await startedAttempt(run)) !== run.attempt)
      throw new Error('The try before this one has yet to end.');
  }

  /** The newest try that Temporal knows. */
  async function startedAttempt({ run_id }: Run): Promise<unknown> {
    const { memo } = await client.workflow.getHandle(run_id).describe();
    return memo?.attempt;
  }

  /** For what the run itself does not send: the end of one that is gone, and what a person has sent again. */
  async function sendWebhook(workflowId: string, delivery: WebhookDelivery): Promise<void> {
    await client.workflow
      .start(webhookWorkflowType, {
        workflowId,
        taskQueue,
        args: [delivery],
        staticSummary: `Webhook ${delivery.event}${delivery.redelivery ? ', again' : ''}`,
      })
      .catch(ignoreStarted);
  }

  /**
   * Tells Temporal what an outbox entry says. Telling it twice changes nothing: a run starts once by its id, a gate is
   * answered once by its id. A run that has ended needs no answer and no cancellation any more: then it resolves to false.
   * @throws when Temporal did not take it.
   */
  async function deliver(entry: OutboxEntry): Promise<boolean> {
    try {
      await withDeadline(() => tell(entry));
      return true;
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
      return false;
    }
  }

  async function tell({ run_id, message }: OutboxEntry): Promise<void> {
    const handle = client.workflow.getHandle(run_id);
    switch (message.kind) {
      case 'start':
        return start(await getRun(db, run_id));
      case 'complete_task': {
        const { kind: _, ...answer } = message;
        return handle.signal(completeTaskSignal, answer);
      }
      case 'cancel':
        return void (await handle.cancel());
      case 'webhook':
        return sendWebhook(`${run_id}/webhook/${message.event}`, {
          run_id,
          sequence: message.event,
          event: message.event,
          waiting_tasks: [],
        });
      case 'redeliver': {
        const { delivery_id, event, redelivery } = message;
        const sequence = delivery_id.slice(`msg_${run_id}_`.length);
        const workflowId = `${run_id}/webhook/${sequence}/redelivery/${redelivery}`;
        return sendWebhook(workflowId, { run_id, sequence, event, waiting_tasks: [], redelivery });
      }
    }
  }

  /** The state that the workflow itself holds, or undefined when it cannot be asked: no worker, no Temporal, no history. */
  async function findLiveState(run_id: string): Promise<RunState | undefined> {
    return read(() => client.workflow.getHandle(run_id).query(runStateQuery));
  }

  /** The server's version, or undefined when it does not answer. */
  async function findServerVersion(): Promise<string | undefined> {
    const info = await read(() => client.workflowService.getSystemInfo({}));
    return info?.serverVersion ?? undefined;
  }

  /** What a client waits for: undefined when Temporal does not answer in time. */
  function read<T>(call: () => Promise<T>): Promise<T | undefined> {
    const answer = withDeadline(call).catch(() => undefined);
    return Promise.race([answer, sleep(readDeadline_ms, undefined, { ref: false })]);
  }

  /** Runs of which a workflow was terminated, or timed out, after `since`, and so could not write that itself. */
  function listTerminated(since: Date): Promise<string[]> {
    const closed = `ExecutionStatus IN ("Terminated", "TimedOut") AND CloseTime > "${since.toISOString()}"`;
    const query = `WorkflowType IN ("${runWorkflowType}", "${orchestrationWorkflowType}") AND ${closed}`;
    return withDeadline(() => Array.fromAsync(client.workflow.list({ query }), ({ workflowId }) => workflowId));
  }

  /** True when nothing works on the run any more. A run that was reset goes on under the same id. */
  async function isGone(run_id: string): Promise<boolean> {
    const { status } = await withDeadline(() => client.workflow.getHandle(run_id).describe());
    return status.name === 'TERMINATED' || status.name === 'TIMED_OUT';
  }

  /** Those of these runs that go on in Temporal and were not asked to stop there. */
  async function listUncancelled(run_ids: string[]): Promise<string[]> {
    if (run_ids.length === 0) return [];
    const query = `ExecutionStatus = "Running" AND WorkflowId IN (${run_ids.map((id) => `"${id}"`).join(', ')})`;
    const running = await withDeadline(() => Array.fromAsync(client.workflow.list({ query })));
    const uncancelled = running.map(async ({ workflowId }) => {
      // What is listed may be old.
      const { status, raw } = await withDeadline(() => client.workflow.getHandle(workflowId).describe());
      return status.name === 'RUNNING' && !raw.workflowExtendedInfo?.cancelRequested ? [workflowId] : [];
    });
    return (await Promise.all(uncancelled)).flat();
  }

  return { deliver, findLiveState, findServerVersion, listTerminated, isGone, listUncancelled };
}

function ignoreStarted(error: unknown): void {
  if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
}

/** What was asked for, as Markdown, for "Details" in the Temporal Web UI. The whole goal is in Postgres. */
function describeRequest(run: Run): string {
  const isOrchestration = run.orchestration_id !== null;
  const rows = [
    ['Agents', run.agents.map(({ name, model }) => (model ? `${name} (${model})` : name))],
    ['Asks a person about', run.ask_me_about],
    ['Steps for a person', run.human_gates.map(gateName)],
    ['Every AI task waits for approval', isOrchestration ? [] : [run.require_approval ? 'yes' : 'no']],
    ['Orchestration', isOrchestration ? [run.orchestration_id!] : []],
    ['REST', [`GET /api/v1/${isOrchestration ? 'orchestrations/' : ''}runs/${run.run_id}`]],
  ] as const;
  const lines = rows
    .filter(([, values]) => values.length > 0)
    .map(([name, values]) => `- **${name}**: ${oneLine(values.join(', '), 2_000)}`);
  // The Web UI cuts the panel a little short.
  return [...lines, '\n\u00A0'].join('\n');
}

function oneLine(text: string, bytes: number): string {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  if (Buffer.byteLength(line) <= bytes) return line;
  return `${new TextDecoder().decode(Buffer.from(line).subarray(0, bytes - 6)).replace(/\uFFFD$/, '')}…`;
}
