import { block, dataRule, materialBlocks, parts, type Material } from './blocks.ts';

/** One step of an orchestration that a model does: an agent, or a single call. */
export function stepPrompt(work: {
  message: string;
  task_id: string;
  name: string;
  instructions: string;
  agent?: { name: string; system_prompt: string };
  material: Material[];
  draft?: string;
  feedback?: string;
}) {
  const { agent, name } = work;
  const role = agent ? `${agent.system_prompt}\n\nYou are the agent "${agent.name}" and do` : 'You do';
  return {
    system: `${role} one step of a larger workflow: "${name}". Others do the other steps.
Write the result itself, complete and ready to use, without a preface about yourself or about these instructions.
${dataRule}`,
    prompt: parts(
      work.message.trim() ? block('goal', work.message) : undefined,
      materialBlocks(work.material),
      work.draft === undefined ? undefined : block('draft', work.draft),
      work.feedback === undefined ? undefined : block('feedback', work.feedback),
      block('task', work.instructions, { id: work.task_id, title: name }),
    ),
  };
}
