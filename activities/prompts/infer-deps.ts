import { z } from 'zod';
import { block, dataRule, listBlock, parts } from './blocks.ts';

export const inferDepsAnswer = z.object({
  dependencies: z
    .array(z.object({ task_id: z.string().max(40), depends_on: z.array(z.string().max(40)).max(40) }))
    .max(40),
});

export function inferDepsPrompt(run: { task: string; tasks: { id: string; title: string }[] }) {
  return {
    system: `You are Orchflow's dependency analyst.
You decide which subtasks need the results of which others. Tasks that do not need each other run at the same time.
- Name a dependency only when the result of one task is really an input of the other. This is a graph, not a list:
  independent tasks have none, and later tasks may need several.
- Use only the ids given. No task depends on itself, and there are no cycles.
${dataRule}`,
    prompt: parts(
      block('goal', run.task),
      listBlock(
        'tasks',
        run.tasks.map(({ id, title }) => `${id}: ${title}`),
      ),
      'Answer with JSON only, one entry a task: {"dependencies": [{"task_id": "T2", "depends_on": ["T1"]}]}',
    ),
  };
}
