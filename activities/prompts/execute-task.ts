import { block, dataRule, materialBlocks, parts, type Material } from './blocks.ts';

export type TaskBrief = { id: string; title: string; description: string };

export function executeTaskPrompt(work: {
  goal: string;
  task: TaskBrief;
  agent: { name: string; system_prompt: string };
  material: Material[];
  draft?: string;
  feedback?: string;
}) {
  return {
    system: `${work.agent.system_prompt}

You are the agent "${work.agent.name}" and do one task of a larger goal. Others do the other tasks.
Write the result itself, complete and ready to use, without a preface about yourself or about these instructions.
${dataRule}`,
    prompt: parts(
      block('goal', work.goal),
      materialBlocks(work.material),
      block('task', work.task.description || work.task.title, { id: work.task.id, title: work.task.title }),
      work.draft && block('draft', work.draft),
      work.feedback && block('feedback', work.feedback),
      work.feedback ? 'Do the task again: write a new version of the draft that answers the feedback.' : 'Do the task.',
    ),
  };
}
