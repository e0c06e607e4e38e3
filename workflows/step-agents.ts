import { agentLoop, makeToolCall, type Agent } from './agent.ts';
import type { StepOutline } from './definition.ts';
import type { createGates } from './gate.ts';
import { stopped } from './guards.ts';
import type { History } from './history.ts';
import { noGatePolicy, type AgentLoop, type TaskState } from './messages.ts';
import type { createModelCalls } from './model-calls.ts';
import type { ValueRef } from './orchestration-state.ts';
import { optionsOf, outcomeOf, type Outcome } from './outcome.ts';
import type { ProgressTracker } from './progress.ts';
import { callStep } from './steps.ts';

type StepWork = {
  run_id: string;
  task_id: string;
  step_id: string;
  definition_hash: string;
  state: Record<string, ValueRef>;
};

/** How models do steps: an agent in turns, with tools or without; a tool by one call that must be made. */
export function createStepAgents(
  run: ProgressTracker,
  gates: ReturnType<typeof createGates>,
  makeCall: ReturnType<typeof createModelCalls>,
  history: History,
) {
  function agentOf(task: TaskState): Agent {
    // It stays with the task when the run continues as new.
    const loop: AgentLoop = (task.step!.loop ??= { turn: 1, pending: [], draft_id: null });
    return { run, gates, policy: noGatePolicy, history, task, loop };
  }

  function takeTurn(step: StepOutline, task: TaskState, work: StepWork, turn: number) {
    return makeCall((progress) => callStep.executeWithOptions(optionsOf(step, task), [{ ...work, turn, progress }]));
  }

  return {
    async doByAgent(step: StepOutline, task: TaskState, work: StepWork): Promise<Outcome> {
      const agent = agentOf(task);
      const { output_id, calls } = await agentLoop(agent, (turn) => takeTurn(step, task, work, turn));
      delete task.step!.loop;
      const names = { task_id: task.id, step_id: step.id, step_name: step.name };
      if (!calls) run.record('agent.turn', { ...names, attempt: 1, output_id });
      return outcomeOf(step, { text: output_id });
    },

    /** The model writes the arguments; the output is what the tool returns. A call that fails, fails the step. */
    async callForcedTool(step: StepOutline, task: TaskState, work: StepWork): Promise<Outcome> {
      const agent = agentOf(task);
      const { calls, warnings } = await takeTurn(step, task, work, 1);
      warnings.forEach(run.warn);
      const [call] = calls ?? [];
      if (!call) throw stopped(`Step '${step.name}' failed: the model did not call the tool.`);
      const result = await makeToolCall(agent, call);
      delete task.step!.loop;
      if (result.is_error) throw stopped(`Step '${step.name}' failed: ${result.preview}`);
      return outcomeOf(step, { text: result.result_id });
    },
  };
}
