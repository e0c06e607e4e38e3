import type { RunSummary } from '../../../db/run-lists.ts';
import type { OpenGate, RunResult } from '../../../db/run-results.ts';
import type { RunKind } from '../../../db/schema.ts';
import { describeGate } from '../../../workflows/contract/gate-rules.ts';
import { hasEnded } from '../../../workflows/contract/states.ts';
import { goingOnOf, type GoingOn } from '../../runs/going-on.ts';

/** Runs in OrchStack's words. */

type WireKind = 'agent' | 'workflow' | 'goal';

const kinds = { agent: 'agent', orchestration: 'workflow', goal: 'goal' } as const satisfies Record<RunKind, WireKind>;

/** What a kind of run is called in the house. */
export function kindOf(kind: WireKind): RunKind {
  return kind === 'workflow' ? 'orchestration' : kind;
}

/** A run in a list. */
export function summaryToWire({ usage, task, orchestration_id, ...run }: RunSummary) {
  const { run_id, origin, mode, status, agent_id, channel, user_id, error, error_code, duration_ms, metadata, tags } =
    run;
  const { created_at, start_at, pending_for, started_at, completed_at } = run;
  return {
    run_id,
    kind: kinds[run.kind],
    origin,
    status,
    mode,
    agent_id,
    workflow_id: orchestration_id,
    channel,
    user_id,
    input: task,
    error,
    error_code,
    tokens: tokensOf(usage),
    cost_usd: run.cost_usd,
    duration_ms,
    metadata,
    tags,
    created_at,
    start_at,
    pending_for,
    started_at,
    completed_at,
  };
}

function tokensOf({ input_tokens, output_tokens }: RunSummary['usage']) {
  return { input: input_tokens, output: output_tokens };
}

/** The whole run, but for its trace. */
export function runToWire(run: RunResult) {
  const { version, output, warnings, held_at } = run;
  return { ...summaryToWire(run), version, output, warnings, held_at, gates: gatesToWire(run) };
}

/** What a run waits for, and where that is answered. */
export function gatesToWire({ run_id, gates }: Pick<RunResult, 'run_id' | 'gates'>) {
  return gates.map(({ title, prompt, reason, ...gate }) => ({
    gate_id: gate.gate_id,
    task_id: gate.task_id,
    kind: gate.kind,
    question: questionOf({ ...gate, title, prompt, reason }),
    context: gate.context,
    fields: gate.fields,
    draft: gate.draft,
    decisions: gate.decisions,
    person: gate.person,
    opened_at: gate.opened_at,
    due_at: gate.due_at,
    answer_url: `/v1/runs/${run_id}/gates/${gate.gate_id}`,
  }));
}

/** Where a person is to do something, what that is; where they decide on something, why. */
function questionOf({ kind, title, prompt, reason }: OpenGate): string {
  const isAsked = kind === 'context' || kind === 'human_task' || kind === 'human_step';
  const said = isAsked ? (prompt ?? reason) : (reason ?? prompt);
  return said ?? `"${title}" waits for ${describeGate(kind)}.`;
}

/** Whether there is something to tell who waits for a run: it has ended, or waits for a person. */
export function hasResult({ status, gates }: RunResult): boolean {
  return hasEnded(status) || (status === 'waiting_human' && gates.length > 0);
}

/** What a run has come to, as it is answered to who has waited for it; of one that goes on, how. */
export function resultOf(run: RunResult) {
  const { run_id, status, output, usage, duration_ms, error, error_code } = run;
  const tokens = tokensOf(usage);
  switch (status) {
    case 'completed':
      return { run_id, status, output: output ?? '', tokens, duration_ms };
    case 'failed':
    case 'cancelled':
      return { run_id, status, output, tokens, duration_ms, error: error ?? `The run was ${status}.`, error_code };
    case 'waiting_human':
      if (run.gates.length === 0) return goesOnOf(run_id, 'running', goingOnOf(run));
      return { run_id, status, output, tokens, duration_ms, gates: gatesToWire(run) };
    case 'pending':
    case 'running':
      return goesOnOf(run_id, status, goingOnOf(run));
  }
}

/** Of a run that nobody waits for any more. */
export function goesOnOf(run_id: string, status: 'pending' | 'running', { how, ...begins }: GoingOn) {
  return { run_id, status, ...begins, message: `${how} Read it with GET /v1/runs/${run_id}.` };
}
