import type { Form, OpenGate, OrchestrationRun } from '../../../db/orchestration-run-views.ts';
import { valuesOf, type StateValues } from '../../../db/shared-state.ts';
import type { HumanField } from '../../../workflows/contract/field-values.ts';
import { describeGate } from '../../../workflows/contract/gate-rules.ts';
import type { RunStatus } from '../../../workflows/contract/states.ts';

/** The run of an orchestration as its clients see it. */

export type WireStatus = 'running' | 'paused' | 'completed' | 'failed' | 'cancelled';

export function wireStatus(status: RunStatus): WireStatus {
  switch (status) {
    case 'pending':
    case 'running':
      return 'running';
    case 'waiting_human':
      return 'paused';
    default:
      return status;
  }
}

/** The statuses that are called so. */
export function statusesOf(status: WireStatus): RunStatus[] {
  if (status === 'running') return ['pending', 'running'];
  return status === 'paused' ? ['waiting_human'] : [status];
}

export type HumanInput = ReturnType<typeof humanInput>;

/** What a person is asked for at a gate. */
export function humanInput(gate: OpenGate) {
  const { gate_id, task_id, due_at } = gate;
  if (gate.form === null) return { ...decisionForm(gate), task_id, gate_id, due_at };
  const { step_id, prompt, fields, agent_context } = JSON.parse(gate.form) as Form;
  return { step_id, prompt, fields: fields.map(fieldToWire), agent_context, task_id, gate_id, due_at };
}

/** As it was defined, without what was not given. */
function fieldToWire({ name, type, label, options, required, ...bounds }: HumanField) {
  return {
    name,
    type,
    ...(label !== null && { label }),
    ...(options !== null && { options }),
    ...(required !== (type === 'select') && { required }),
    ...bounds,
  };
}

/** A gate that is no human step: a person decides, and may say more. */
function decisionForm({ step_id, task_id, kind, reason, draft, decisions, title }: OpenGate) {
  const decision = { name: 'decision', type: 'select' as const, label: 'Decision', options: decisions.join(',') };
  return {
    step_id: step_id ?? task_id,
    prompt: `"${title}" waits for ${describeGate(kind)}.`,
    fields: [decision, { name: 'output', type: 'textarea' as const, label: 'Text' }],
    agent_context: [reason, draft].filter(Boolean).join('\n\n') || null,
  };
}

/** The values of the state, by key. */
export function sharedState({ shared_state, texts }: OrchestrationRun): StateValues {
  return valuesOf(shared_state, texts);
}

/** Every execution of a step, in the order in which they began. */
export function stepHistory({ steps }: OrchestrationRun) {
  return steps.map(({ id, title, step, status, error, usage, started_at, completed_at }) => ({
    task_id: id,
    step_id: step.step_id,
    step_name: title,
    type: step.type,
    step_type: step.type,
    status,
    turns: usage.llm_calls,
    cost_usd: usage.cost_usd,
    output_key: step.output_key,
    error,
    started_at,
    ended_at: completed_at,
    duration_seconds: started_at && completed_at ? (Date.parse(completed_at) - Date.parse(started_at)) / 1_000 : null,
  }));
}

/** What the run has come to, in words; `state` is its `sharedState`. Null while it goes on. */
export function responseOf(run: OrchestrationRun, state: StateValues): string | null {
  switch (run.status) {
    case 'completed': {
      const done = run.steps.filter(({ status }) => status === 'completed');
      // What a person answers is no result.
      const last = done.findLast(
        ({ step: { type, output_key } }) => type !== 'human' && output_key !== null && Boolean(state[output_key]),
      );
      if (!last) return `Orchestration completed. ${done.length} steps executed.`;
      const value = state[last.step.output_key!];
      return typeof value === 'string' ? value : JSON.stringify(value);
    }
    case 'failed':
      return run.error ?? 'The run failed.';
    case 'cancelled':
      return 'The run was cancelled.';
    default:
      return null;
  }
}

/** The whole run. */
export function runToWire(run: OrchestrationRun) {
  const waiting = run.gates.map(humanInput);
  const shared_state = sharedState(run);
  return {
    run_id: run.run_id,
    orchestration_id: run.orchestration_id,
    status: wireStatus(run.status),
    message: run.task,
    response: responseOf(run, shared_state),
    error: run.error,
    shared_state,
    step_history: stepHistory(run),
    human_input_required: waiting[0] ?? null,
    waiting,
    warnings: run.warnings,
    usage: run.usage,
    attempt: run.attempt,
    held_at: run.held_at,
    created_at: run.created_at,
    start_at: run.start_at,
    pending_for: run.pending_for,
    queue_position: run.queue_position,
    started_at: run.started_at,
    ended_at: run.completed_at,
  };
}

/** The answer to who waited for the run: completed, paused or failed, as documented. Undefined while it goes on. */
export function toAnswer(run: OrchestrationRun) {
  const { run_id, warnings } = run;
  const status = wireStatus(run.status);
  switch (status) {
    case 'running':
      return undefined;
    case 'paused': {
      const [gate] = run.gates;
      return gate && { status, run_id, human_input_required: humanInput(gate), warnings };
    }
    case 'completed':
    case 'failed':
    case 'cancelled': {
      const shared_state = sharedState(run);
      const response = responseOf(run, shared_state)!;
      return { status, run_id, response, shared_state, step_history: stepHistory(run), warnings };
    }
  }
}
