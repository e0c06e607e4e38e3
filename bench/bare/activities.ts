import { Context } from '@temporalio/activity';
import { callModel, type ModelTarget } from '../../src/llm/index.ts';

const systems = {
  split: "You are Orchflow's planner.",
  infer: "You are Orchflow's dependency analyst.",
  execute: 'You are an agent.',
  evaluate: "You are Orchflow's evaluator.",
  finalize: "You are Orchflow's editor.",
};

export function createActivities({ target, fetch: guarded }: { target: ModelTarget; fetch: typeof fetch }) {
  return {
    /** One model call, with heartbeats, as in Orchflow. */
    async ask(purpose: keyof typeof systems, text: string, task_id = 'T1'): Promise<string> {
      const context = Context.current();
      const timer = setInterval(() => context.heartbeat(), 1_500);
      try {
        const request = {
          system: systems[purpose],
          prompt: `${text}\n<task id="${task_id}">x</task>`,
          max_output_tokens: 8_192,
        };
        const options = { signal: context.cancellationSignal, fetch: guarded, timeout_ms: 60_000 };
        return (await callModel(target, request, options)).text;
      } finally {
        clearInterval(timer);
      }
    },
  };
}
