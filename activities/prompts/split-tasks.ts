import { z } from 'zod';
import { block, dataRule, listBlock, parts } from './blocks.ts';

/** Numbers as they were meant: also one alone, and as texts. None of anything else. */
const stepNumbers = z.preprocess((value) => [value].flat().slice(0, 40).flatMap(readNumbers), z.array(z.int()));

function readNumbers(value: unknown): number[] {
  if (typeof value === 'string') return (value.slice(0, 100).match(/\d{1,3}/g) ?? []).map(Number);
  return typeof value === 'number' && Number.isInteger(value) ? [value] : [];
}

export const splitTasksAnswer = z.object({
  tasks: z.array(
    z.object({
      title: z.string().trim().min(1).max(120),
      description: z.string().trim().min(1).max(2_000),
      agent: z.string().max(100).nullable(),
      human_steps: stepNumbers,
      waits_for: stepNumbers,
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
- Every step listed under human_steps is done by a person: plan one subtask for it, with the words of that step in its title
  and its number in \`human_steps\`. Only when a step is no more than a person's yes to other subtasks, plan none for it, and
  put its number in \`waits_for\` of each subtask that must not begin before that yes. Both lists are mostly empty.
${dataRule}`,
    prompt: parts(
      block('goal', run.task),
      listBlock('agents', run.agents),
      listBlock(
        'human_steps',
        run.human_steps.map((step, index) => `${index + 1}: ${step}`),
      ),
      'Split the goal. Answer with JSON only: {"tasks": [{"title": "…", "description": "…", "agent": "…", "human_steps": [], "waits_for": []}]}',
    ),
  };
}
