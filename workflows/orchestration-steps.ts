import { agentLoop, makeToolCall } from './agent-loop.ts';
import type { StepOutline } from './contract/definition.ts';
import type { GatePolicy } from './contract/gate-rules.ts';
import type { OrchestrationInput } from './contract/inputs.ts';
import { answerOf, written, type Outcome, type Writes } from './contract/outcome.ts';
import { nextOf, type RouteChoice } from './contract/route.ts';
import type { ValueRef } from './contract/shared-state.ts';
import type { StepLoop, TaskState } from './contract/states.ts';
import { awaitAnswer } from './gate.ts';
import { stopped, type Guards } from './guards.ts';
import { callStep, openForm } from './model-activities.ts';
import type { RunContext } from './run-context.ts';
import { record, warn } from './state.ts';
import { idOf, outcomeOf } from './step-execution.ts';

/** What the steps of an orchestration do, each by itself. Which one follows which is the matter of `orchestration.ts`. */

/** A step that chooses the route. */
type RoutingStep = StepOutline & { type: 'evaluator' | 'if_else' | 'switch' };

export type OrchestrationRun = RunContext & {
  readonly input: OrchestrationInput;
  readonly definition_hash: string;
  readonly guards: Guards;
};

/** An agent in turns, with tools or without. */
export async function doByAgent(
  run: OrchestrationRun,
  step: StepOutline,
  task: TaskState,
  state: Writes,
): Promise<Outcome> {
  const loop = loopOf(task);
  const { output_id, calls } = await agentLoop({ run, task, loop }, () => callStep(run, step, task, state, loop));
  delete task.step!.loop;
  const names = { task_id: task.id, step_id: step.id, step_name: step.name };
  if (!calls) record(run, 'agent.turn', { ...names, attempt: 1, output_id });
  return outcomeOf(step, { text: output_id });
}

/** The model writes the arguments; the output is what the tool returns. A call that fails is written anew, knowing why. */
export async function callForcedTool(
  run: OrchestrationRun,
  step: StepOutline & { type: 'tool' },
  task: TaskState,
  state: Writes,
): Promise<Outcome> {
  const loop = loopOf(task);
  for (;;) {
    const { calls, warnings } = await callStep(run, step, task, state, loop);
    warn(run, ...warnings);
    const [call] = calls ?? [];
    const result = call && (await makeToolCall({ run, task, loop }, call));
    if (result && !result.is_error) {
      delete task.step!.loop;
      return outcomeOf(step, { text: result.result_id });
    }
    if (result?.is_refused) throw stopped(`Step '${step.name}' failed: ${result.preview}`);
    if (loop.turn >= step.max_turns) {
      const reason = result?.preview ?? 'the model did not call the tool.';
      throw stopped(`Tool step '${step.name}' failed after ${loop.turn} attempt(s): ${reason}`);
    }
    loop.turn += 1;
  }
}

/** A person fills in a form. */
export async function askPerson(
  run: OrchestrationRun,
  step: StepOutline & { type: 'human' },
  task: TaskState,
  state: Writes,
): Promise<Outcome> {
  // Accepted while the try before failed: it stands, and nobody is asked twice.
  const answered = run.state.tasks.find(
    ({ status, output_id, step: mark }) => status === 'skipped' && output_id && mark?.path === task.step!.path,
  );
  if (answered) return answerOf(step, answered.output_id!);
  if (task.gate?.status !== 'open') await openForm(run, step, task, state, lastOutput(run));
  const question = { kind: 'human_step' as const, policy: () => policyOf(run, step), fields: step.human_fields };
  const { output_id } = await awaitAnswer(run, task, question);
  // Without it, runs that were begun before all gates stopped the clock would take another way when they replay.
  run.guards.restartClock();
  return answerOf(step, output_id);
}

/** The terms of a human step: its own, and what it does not name from the run. */
function policyOf(
  { terms }: OrchestrationRun,
  { id, human_timeout_seconds }: StepOutline & { type: 'human' },
): GatePolicy {
  const policy = terms.step_policies?.[id] ?? terms.gate_policy;
  if (human_timeout_seconds === null) return policy;
  return { ...policy, due_in: human_timeout_seconds * 1_000, on_timeout: 'reject' };
}

/** Of a step at which a model has chosen the route. */
export function routed(
  run: RunContext,
  step: RoutingStep,
  task: TaskState,
  {
    label,
    reasoning,
    warnings,
  }: { label: string; reasoning: { text_id: string; preview: string }; warnings: string[] },
): Outcome {
  warn(run, ...warnings);
  const writes = {
    ...written(step, { value: label }),
    [`_routing_decision_${step.id}`]: { value: label },
    [`_routing_reasoning_${step.id}`]: { text: reasoning.text_id },
  };
  return { writes, output_id: null, next: choose(run, step, task, { label, reasoning: reasoning.preview }) };
}

/** Of a step at which a condition has chosen the route. */
export function decided(
  run: RunContext,
  step: RoutingStep,
  task: TaskState,
  { output, decision = '' }: { output: ValueRef | null; decision?: string },
): Outcome {
  const key = step.type === 'switch' ? `_switch_decision_${step.id}` : `_if_decision_${step.id}`;
  const writes = { ...written(step, output), [key]: { value: decision } };
  return { writes, output_id: idOf(output), next: choose(run, step, task, { label: decision }) };
}

/** Of a step that has computed a value. */
export function computed(
  run: RunContext,
  step: StepOutline,
  { output, warnings }: { output: ValueRef | null; warnings: string[] },
): Outcome {
  warn(run, ...warnings);
  return outcomeOf(step, output);
}

/** The newest output that stands in the state; what a person answers is none. */
export function lastOutput({ state }: RunContext): string | null {
  const last = state.tasks.findLast(
    ({ status, kind, output_id, step }) => status === 'completed' && kind !== 'human' && output_id && step?.output_key,
  );
  return last?.output_id ?? null;
}

function choose(run: RunContext, step: RoutingStep, task: TaskState, choice: RouteChoice): string | null {
  const target_step_id = nextOf(step, choice.label);
  record(run, `step.${step.type}_decision`, { task_id: task.id, step_id: step.id, ...choice, target_step_id });
  return target_step_id;
}

/** How far the agent of a step is. It stays with the task when the run continues as new. */
function loopOf({ step }: TaskState): StepLoop {
  return (step!.loop ??= { turn: 1, pending: [], draft_id: null, worked_ms: 0 });
}
