import { z } from 'zod';
import { block, dataRule, listBlock, parts } from './blocks.ts';

export const splitTasksAnswer = z.object({
  tasks: z.array(
    z.object({
      title: z.string().trim().min(1).max(120),
      description: z.string().trim().min(1).max(2_000),
      agent: z.string().max(100).nullable(),
    }),
  ),
});

export function splitTasksPrompt(run: { task: string; agents: string[]; human_steps: string[] }) {
  return {
    system: `You are Orchflow's planner.
You split a goal into 3 to 6 subtasks that agents and people work on, many of them in parallel.
- Each subtask has one clear result that someone else can use. Together they reach the goal; none repeats another.
- The title is short and names the work ("Research competing channels"). The description says in two or three
  sentences what to produce and what matters.
- \`agent\` is the name of the best suited agent from the list, or null.
- Do not plan a subtask that only collects the results: that happens at the end by itself.
- Every step listed under human_steps is done by a person: plan one subtask for it, with the words of that step in its title.
${dataRule}`,
    prompt: parts(
      block('goal', run.task),
      listBlock('agents', run.agents),
      listBlock('human_steps', run.human_steps),
      'Split the goal. Answer with JSON only: {"tasks": [{"title": "…", "description": "…", "agent": "…"}]}',
    ),
  };
}
