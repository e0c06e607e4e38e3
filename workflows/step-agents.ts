import { agentLoop, makeToolCall, type Agent } from './agent.ts';
import type { StepOutline } from './contract/definition.ts';
import type { createGates } from './gate.ts';
import { stopped } from './guards.ts';
import type { History } from './history.ts';
import { noGatePolicy } from './contract/gate-rules.ts';
import type { TaskState } from './contract/states.ts';
import type { createModelCalls } from './model-calls.ts';
import type { ValueRef } from './contract/shared-state.ts';
import type { StepLoop } from './contract/states.ts';
import { optionsOf, outcomeOf, type Outcome } from './outcome.ts';
import type { ProgressTracker } from './progress.ts';
import { callStep } from './model-activities.ts';

type StepWork = {
  run_id: string;
  task_id: string;
  step_id: string;
  definition_hash: string;
  state: Record<string, ValueRef>;
};

type StepAgent = Agent & { loop: StepLoop };

/** How models do steps: an agent in turns, with tools or without; a tool by one call that must be made. */
export function createStepAgents(
  run: ProgressTracker,
  gates: ReturnType<typeof createGates>,
  makeCall: ReturnType<typeof createModelCalls>,
  history: History,
) {
  function agentOf(task: TaskState): StepAgent {
    // It stays with the task when the run continues as new.
    const loop = (task.step!.loop ??= { turn: 1, pending: [], draft_id: null, worked_ms: 0 });
    return { run, gates, policy: noGatePolicy, history, task, loop };
  }

  /** The step's own time bounds its turns together; people who are asked meanwhile, and tools, have theirs. */
  function takeTurn(step: StepOutline, { task, loop }: StepAgent, work: StepWork) {
    return makeCall(async (progress) => {
      const since = Date.now();
      const scheduleToCloseTimeout = Math.max(1, step.timeout_seconds * 1_000 - loop.worked_ms);
      const { summary } = optionsOf(step, task);
      const label = loop.turn > 1 ? `${summary}, turn ${loop.turn}` : summary;
      const options = { summary: label, scheduleToCloseTimeout };
      try {
        return await callStep.executeWithOptions(options, [{ ...work, turn: loop.turn, progress }]);
      } finally {
        loop.worked_ms += Date.now() - since;
      }
    });
  }

  return {
    async doByAgent(step: StepOutline, task: TaskState, work: StepWork): Promise<Outcome> {
      const agent = agentOf(task);
      const { output_id, calls } = await agentLoop(agent, () => takeTurn(step, agent, work));
      delete task.step!.loop;
      const names = { task_id: task.id, step_id: step.id, step_name: step.name };
      if (!calls) run.record('agent.turn', { ...names, attempt: 1, output_id });
      return outcomeOf(step, { text: output_id });
    },

    /** The model writes the arguments; the output is what the tool returns. A call that fails is written anew, knowing why. */
    async callForcedTool(step: StepOutline & { type: 'tool' }, task: TaskState, work: StepWork): Promise<Outcome> {
      const agent = agentOf(task);
      const { loop } = agent;
      for (;;) {
        const { calls, warnings } = await takeTurn(step, agent, work);
        warnings.forEach(run.warn);
        const [call] = calls ?? [];
        const result = call && (await makeToolCall(agent, call));
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
    },
  };
}
