import { findOrchestrationRun, findStepResult, type StepResult } from '../../../db/orchestration-runs.ts';
import type { Delta } from '../../../db/live.ts';
import type { StoredEvent } from '../../../db/run-events.ts';
import { asksModel, type Definition, type Step } from '../../../workflows/contract/definition.ts';
import type { AppDeps } from '../../deps.ts';
import type { RunStreamItem } from '../../runs/events.ts';
import type { ServerSentEvent } from '../../http/sse.ts';
import { humanInput, responseOf, sharedState, stepHistory, wireStatus } from './run-view.ts';

type Told = { type: string; [field: string]: unknown };
type Run = { account_id: string; run_id: string; orchestration_id: string; definition: Definition };

/**
 * The events of a run as clients of orchestrations know them, from its start or from an answer, until it ends or waits
 * for a person; `done` comes last. The run itself goes on, whoever reads. Fields are those of the page and those of the
 * original: `step_id` and `orch_step_id`, `agent_turn` and `llm_thought`.
 */
export async function* tellOrchestration(
  { db }: AppDeps,
  run: Run,
  items: AsyncIterable<RunStreamItem>,
): AsyncGenerator<ServerSentEvent | null> {
  const steps = new Map(run.definition.steps.map((step) => [step.id, step]));
  /** Decisions are told when their step has completed. */
  const decisions = new Map<unknown, Told>();
  /** Texts may be here before the event that their step has begun. */
  const begun = new Set<unknown>();
  const early: Delta[] = [];

  for await (const item of items) {
    if ('idle' in item) yield null;
    else if ('delta' in item && !begun.has(item.delta.task_id)) early.push(item.delta);
    else if ('delta' in item) yield { data: { type: 'delta', ...item.delta } };
    else if ('event' in item) {
      const { seq } = item.event;
      const told = await tell(item.event);
      for (const [index, data] of told.entries()) {
        yield index === told.length - 1 ? { id: String(seq), data } : { data };
      }
      if (told.at(-1)?.type === 'done') return;
      if (item.event.type === 'task.started') {
        const { task_id } = item.event.data;
        begun.add(task_id);
        for (const delta of early.filter((one) => one.task_id === task_id)) yield { data: { type: 'delta', ...delta } };
        early.splice(0, early.length, ...early.filter((one) => one.task_id !== task_id));
      }
    }
  }

  async function tell({ type, data }: StoredEvent): Promise<Told[]> {
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
            orchestration_name: run.definition.name,
          },
        ];
      case 'task.started':
        if (!step) return [];
        return [
          { type: 'step_start', ...at, step_type: step.type },
          ...(asksModel(step) ? [{ type: 'thinking', message: `${step.name} is at work.`, ...at }] : []),
        ];
      case 'agent.turn': {
        const thought = (await result(data))?.texts.get(data.output_id as string) ?? '';
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
        return step ? completed(step, at, await result(data)) : [];
      case 'task.failed':
        return [{ type: 'step_error', ...at, error: data.error }];
      case 'step.evaluator_decision':
      case 'step.if_else_decision':
      case 'step.switch_decision':
        return step ? decided(step, at, data) : [];
      case 'gate.opened':
      case 'gate.answered':
        return waits();
      case 'run.warning':
        return [{ type: 'step_warning', message: data.warning }];
      case 'run.failed':
        return ended({ type: 'orchestration_error', error: data.error });
      case 'run.cancelled':
        return ended({ type: 'orchestration_error', error: 'Cancelled' });
      case 'run.completed':
        return ended();
      default:
        if (!type.startsWith('step.')) return [];
        return [{ ...data, n: undefined, type: type.slice('step.'.length), orch_step_id: data.step_id }];
    }
  }

  function result({ task_id, output_id = null }: Record<string, unknown>): Promise<StepResult | undefined> {
    return findStepResult(db, run.run_id, task_id as string, output_id as string | null);
  }

  function completed(step: Step, at: object, done: StepResult | undefined): Told[] {
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
  function decided(
    step: Step,
    at: object,
    { label, reasoning, target_step_id, task_id }: Record<string, unknown>,
  ): Told[] {
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
  async function waits(): Promise<Told[]> {
    const found = await findOrchestrationRun(db, run.account_id, run.run_id);
    const gate = found?.gates[0];
    if (!gate) return [];
    const input = humanInput(gate);
    const { step_id: orch_step_id } = input;
    return [
      { type: 'human_input_required', run_id: run.run_id, orch_step_id, ...input, channel_id: null },
      { type: 'done' },
    ];
  }

  async function ended(error?: Told): Promise<Told[]> {
    const found = (await findOrchestrationRun(db, run.account_id, run.run_id))!;
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
}

/** What a step of this type tells of itself before it is complete. */
function ownEvents(step: Step, at: object, output: unknown): Told[] {
  switch (step.type) {
    case 'agent':
      return [{ type: 'final', response: output, ...at, intent: 'agent', data: null, tool_name: null }];
    case 'llm':
    case 'tool':
    case 'extract_json':
    case 'print':
      return [{ type: 'final', response: output, ...at }];
    case 'merge':
      return [{ type: 'merge_complete', ...at, input_count: step.input_keys.length, strategy: step.merge_strategy }];
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
