import type { Db } from '../../../db/index.ts';
import { findOrchestrationRun, findStepResult, type StepResult } from '../../../db/orchestration-run-views.ts';
import { findDefinition } from '../../../db/orchestrations.ts';
import type { StoredEvent } from '../../../db/run-events.ts';
import { asksModel, type Definition, type Step } from '../../../workflows/contract/definition.ts';
import { readOrchestrationRun, type Enter } from './read-run.ts';
import { humanInput, responseOf, sharedState, stepHistory, wireStatus } from './run-view.ts';

/**
 * What happens in the run of an orchestration, as its clients see it. Fields are those of the page and those of the
 * original: `step_id` and `orch_step_id`, `agent_turn` and `llm_thought`.
 */

type WireEvent = { type: string; [field: string]: unknown };

export type FollowedRun = { account_id: string; run_id: string; orchestration_id: string; definition_hash: string };

export type Following = Awaited<ReturnType<typeof follow>>;

/** What it takes to make sense of the events of a run, from one to the next. The definition, which may be long, is not held. */
export async function follow(db: Db, run: FollowedRun) {
  const { name, steps } = await findDefinition(db, run.definition_hash);
  return {
    db,
    run,
    name,
    steps: new Map(steps.map((step) => [step.id, outlineOf(step)])),
    /** By task. They are seen when their step has completed. */
    decisions: new Map<unknown, WireEvent>(),
  };
}

type Outline = ReturnType<typeof outlineOf>;

function outlineOf(step: Step) {
  const { id, name, type } = step;
  const merged = step.type === 'merge' && { input_count: step.input_keys.length, strategy: step.merge_strategy };
  return { id, name, type, merged };
}

async function definedBy({ db, run }: Following, step_id: string): Promise<Step> {
  const { steps }: Definition = await findDefinition(db, run.definition_hash);
  return steps.find(({ id }) => id === step_id)!;
}

/** What clients see of a stored event: one event, several or none. `enter` waits for the turn of a long end. */
export async function eventToWire(
  following: Following,
  { type, data }: StoredEvent,
  enter: Enter,
): Promise<WireEvent[]> {
  const { run, name, steps } = following;
  // An execution has the id of its step, and a number after the first one.
  const step = steps.get((data.task_id as string | undefined)?.split('.')[0] ?? '');
  const at = { step_id: step?.id, orch_step_id: step?.id, step_name: step?.name, task_id: data.task_id };
  switch (type) {
    case 'run.started':
      return [
        {
          type: 'orchestration_start',
          run_id: run.run_id,
          orchestration_id: run.orchestration_id,
          orchestration_name: name,
        },
      ];
    case 'task.started':
      if (!step) return [];
      return [
        { type: 'step_start', ...at, step_type: step.type },
        ...(asksModel(step) ? [{ type: 'thinking', message: `${step.name} is at work.`, ...at }] : []),
      ];
    case 'agent.turn': {
      const thought = (await resultOf(following, data))?.texts.get(data.output_id as string) ?? '';
      const turn = { ...at, thought, turn: data.turn ?? 1 };
      return [
        { type: 'llm_thought', ...turn },
        { type: 'agent_turn', ...turn },
      ];
    }
    case 'tool.called':
      return [{ type: 'tool_execution', tool_name: data.tool_name, args: data.args, ...at }];
    case 'tool.result':
      return [{ type: 'tool_result', tool_name: data.tool_name, preview: data.preview, ...at }];
    case 'task.completed':
      return step ? stepCompleted(following, step, at, await resultOf(following, data)) : [];
    case 'task.failed':
      return [{ type: 'step_error', ...at, error: data.error }];
    case 'step.evaluator_decision':
    case 'step.if_else_decision':
    case 'step.switch_decision':
      return step ? stepDecided(following, await definedBy(following, step.id), at, data) : [];
    case 'gate.opened':
    case 'gate.answered':
      return humanInputRequired(following);
    case 'run.warning':
      return [{ type: 'step_warning', message: data.warning }];
    case 'call.retrying':
      return [
        {
          type: 'step_warning',
          message: `A call is tried again at ${String(data.next_try_at)}: ${String(data.reason)}`,
          ...at,
        },
      ];
    case 'run.failed':
      return runEnded(following, enter, { type: 'orchestration_error', error: data.error });
    case 'run.cancelled':
      return runEnded(following, enter, { type: 'orchestration_error', error: 'Cancelled' });
    case 'run.completed':
      return runEnded(following, enter);
    default:
      if (!type.startsWith('step.')) return [];
      return [{ ...data, n: undefined, type: type.slice('step.'.length), orch_step_id: data.step_id }];
  }
}

function resultOf(
  { db, run }: Following,
  { task_id, output_id = null }: Record<string, unknown>,
): Promise<StepResult | undefined> {
  return findStepResult(db, run.run_id, task_id as string, output_id as string | null);
}

function stepCompleted({ decisions }: Following, step: Outline, at: object, done: StepResult | undefined): WireEvent[] {
  const output = done?.output ?? null;
  const decision = decisions.get(done?.task_id);
  decisions.delete(done?.task_id);
  return [
    ...ownEvents(step, at, output),
    { type: 'step_complete', ...at, duration_seconds: done?.duration_seconds ?? null, output },
    ...(decision ? [decision] : []),
  ];
}

/** What a step decided, at once, and where the run goes on, when the step has completed. */
function stepDecided(
  { decisions }: Following,
  step: Step,
  at: object,
  { label, reasoning, target_step_id, task_id }: Record<string, unknown>,
): WireEvent[] {
  switch (step.type) {
    case 'evaluator':
      decisions.set(task_id, { type: 'routing_decision', ...at, decision: label, target_step_id, reasoning });
      return [{ type: 'routing_decision', tool_name: `route_${String(label)}`, arguments: { reasoning }, ...at }];
    case 'if_else':
      decisions.set(task_id, { type: 'if_decision', ...at, decision: label, target_step_id });
      return [{ type: 'if_decision', ...at, condition: step.if_condition, result: label === 'true' }];
    case 'switch':
      decisions.set(task_id, { type: 'switch_decision', ...at, matched_case: label, target_step_id });
      return [
        { type: 'switch_decision', ...at, expression: step.switch_expression, value: label, matched_case: label },
      ];
    default:
      return [];
  }
}

/** The first thing that a person is asked for, if anything: the stream ends with it. */
async function humanInputRequired({ db, run }: Following): Promise<WireEvent[]> {
  // The first gate is always there.
  const found = await findOrchestrationRun(db, run.account_id, run.run_id, { most: 0 });
  const gate = found?.gates[0];
  if (!gate) return [];
  const input = humanInput(gate);
  const { step_id: orch_step_id } = input;
  return [
    { type: 'human_input_required', run_id: run.run_id, orch_step_id, ...input, channel_id: null },
    { type: 'done' },
  ];
}

async function runEnded({ db, run }: Following, enter: Enter, error?: WireEvent): Promise<WireEvent[]> {
  const found = await readOrchestrationRun(db, run.account_id, run.run_id, { enter });
  // It was purged in this moment.
  if (!found) return [{ type: 'done' }];
  const shared_state = sharedState(found);
  const status = wireStatus(found.status);
  const data = { run_id: run.run_id, status, step_history: stepHistory(found), shared_state };
  return [
    ...(error ? [error] : []),
    { type: 'orchestration_complete', run_id: run.run_id, status, final_state: shared_state },
    { type: 'final', response: responseOf(found, shared_state), intent: 'orchestration', data, tool_name: null },
    { type: 'done' },
  ];
}

/** What a step of this type shows of itself before it is complete. */
function ownEvents({ type, merged }: Outline, at: object, output: unknown): WireEvent[] {
  switch (type) {
    case 'agent':
      return [{ type: 'final', response: output, ...at, intent: 'agent', data: null, tool_name: null }];
    case 'llm':
    case 'tool':
    case 'extract_json':
    case 'print':
      return [{ type: 'final', response: output, ...at }];
    case 'merge':
      return [{ type: 'merge_complete', ...at, ...merged }];
    case 'transform':
      return [
        {
          type: 'transform_result',
          ...at,
          result: output === null || typeof output === 'string' ? output : JSON.stringify(output),
        },
      ];
    case 'end':
      return [{ type: 'orchestration_end', ...at }];
    default:
      return [];
  }
}
