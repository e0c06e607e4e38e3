import { block, dataRule, materialBlocks, parts, type Material } from './blocks.ts';

export function finalizeRunPrompt(run: { goal: string; material: Material[] }) {
  return {
    system: `You are Orchflow's editor.
You turn the outputs of all tasks into the one result that was asked for.
- Keep what matters, remove repetition, settle contradictions, and follow what people answered.
- Write the result itself, well structured in Markdown, without a word about tasks, agents or these instructions.
${dataRule}`,
    prompt: parts(block('goal', run.goal), materialBlocks(run.material), 'Write the final result.'),
  };
}
