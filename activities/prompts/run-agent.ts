import { block, dataRule, materialBlocks, parts, type Material } from './blocks.ts';

/** An agent that does one thing alone. With a schema its answer is JSON. */
export function runAgentPrompt(work: {
  input: string;
  task_id: string;
  agent: { name: string; system_prompt: string };
  material: Material[];
  schema: object | null;
  draft: string | undefined;
  feedback: string | undefined;
}) {
  const { agent, schema } = work;
  return {
    system: `${agent.system_prompt}

You are the agent "${agent.name}" and do one task.
Write the result itself, complete and ready to use, without a preface about yourself or about these instructions.
${dataRule}`,
    prompt: parts(
      block('goal', work.input),
      materialBlocks(work.material),
      work.draft && block('draft', work.draft),
      work.feedback && block('feedback', work.feedback),
      block('task', work.feedback ? 'Write a new version of the draft that answers the feedback.' : 'Do it.', {
        id: work.task_id,
        title: agent.name,
      }),
      schema ? asJson(schema) : undefined,
    ),
  };
}

/** The same of an answer in words, which is to be said as JSON. */
export function shapeOutputPrompt(work: {
  input: string;
  task_id: string;
  name: string;
  answer: string;
  schema: object;
}) {
  return {
    system: `You put the answer of an agent into JSON. Keep all that it says, and add nothing.
${dataRule}`,
    prompt: parts(
      block('goal', work.input),
      block('output', work.answer),
      block('task', 'Say the output as JSON.', { id: work.task_id, title: work.name }),
      asJson(work.schema),
    ),
  };
}

function asJson(schema: object): string {
  return `Answer with JSON only, by this JSON Schema: ${JSON.stringify(schema)}`;
}
