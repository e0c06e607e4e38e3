import type { StateValues } from '../db/shared-state.ts';
import type { Work } from '../db/work.ts';
import { asAgentTool, type Definition, type Step, type StepOf } from '../workflows/contract/definition.ts';
import type { Material } from './prompts/blocks.ts';
import { asText, keysIn, render } from './state.ts';

/** What a step reads of the state of its orchestration, and what becomes of it in a prompt. */

/** A step with what it works from. `values` are those of the keys that it reads. */
export type LoadedStep = { work: Work; definition: Definition; step: Step; values: StateValues };

const humanKeys = (definition: Definition) =>
  definition.steps.flatMap(({ type, output_key }) => (type === 'human' && output_key ? [output_key] : []));

/** What a prompt is made of: what people said, what the step reads and has written before, and why it was sent here. */
export function keysOfPrompt(step: Step, definition: Definition): string[] {
  if (step.type === 'evaluator') return [...step.input_keys, ...keysIn(step.evaluator_prompt)];
  const template = 'prompt_template' in step ? step.prompt_template : null;
  const feedback = evaluatorsBefore(definition, step).flatMap(({ id }) => [
    `_routing_reasoning_${id}`,
    `_routing_decision_${id}`,
  ]);
  const own = step.output_key === null ? [] : [step.output_key];
  const people = [...humanKeys(definition), 'human_response'];
  return ['user_input', ...people, ...step.input_keys, ...own, ...keysIn(template), ...feedback];
}

/** What a person is shown. */
export function keysOfForm(step: Step): string[] {
  return [...step.input_keys, ...keysIn((step as StepOf<'human'>).human_prompt)];
}

/** Undefined is all: code may read anything. */
export function keysOfComputation(step: Step): string[] | undefined {
  if (step.type === 'merge' || step.type === 'extract_json') return step.input_keys;
  return step.type === 'print' ? keysIn(step.print_content) : undefined;
}

/** Who the model is told to be; undefined for a step that has no agent. */
export function agentOf(loaded: LoadedStep): { name: string; system_prompt: string } | undefined {
  const { step } = loaded;
  if (step.type !== 'agent' && !(step.type === 'llm' && step.agent)) return undefined;
  const template = step.type === 'agent' ? step.agent_id : null;
  const name = step.agent?.name ?? template ?? step.name;
  return { name, system_prompt: modelOf(loaded)?.system_prompt ?? '' };
}

/** What the model may call, how often, and what it must call; of a registered agent as the run froze it. */
export function toolsOf(loaded: LoadedStep) {
  const { step } = loaded;
  if (step.type === 'tool') {
    const { forced_tool, require_approval = false } = step;
    return { tools: [{ name: forced_tool, require_approval }], forced_tool };
  }
  if (step.type !== 'agent') return {};
  const frozen = modelOf(loaded);
  const tools = frozen?.agent_id === undefined ? (step.allowed_tools ?? []).map(asAgentTool) : (frozen.tools ?? []);
  return { tools, max_turns: step.max_turns ?? frozen?.max_turns };
}

/** The agent of the step with its model, as the run froze them; undefined is the run's own model. */
export function modelOf({ step, work }: LoadedStep) {
  return work.run.agents.find(({ name }) => name === step.id);
}

/** What `stepPrompt` is made of, but for the agent and the files of the run. */
export function promptOf(loaded: LoadedStep, task_id: string, limit: number) {
  const { step, values, definition } = loaded;
  const message = asText(values.user_input ?? '');
  const template = 'prompt_template' in step ? step.prompt_template : null;
  const answered = humanKeys(definition).filter((key) => values[key] !== undefined);
  const people = answered.length > 0 || values.human_response === undefined ? answered : ['human_response'];
  const evaluator = evaluatorsBefore(definition, step).find(({ id, route_map }) => {
    const label = values[`_routing_decision_${id}`];
    return typeof label === 'string' && Object.hasOwn(route_map, label) && route_map[label] === step.id;
  });
  const before =
    step.output_key === null || step.input_keys.includes(step.output_key) ? undefined : values[step.output_key];
  return {
    message,
    task_id,
    name: step.name,
    instructions: template?.trim() ? render(template, values, limit, 'prompt') : message || step.name,
    material: materialOf(loaded, [...new Set([...people, ...step.input_keys])]),
    draft: before === undefined ? undefined : asText(before),
    feedback: evaluator && asText(values[`_routing_reasoning_${evaluator.id}`]),
  };
}

/** The evaluators that may send the run here. */
function evaluatorsBefore({ steps }: Definition, { id }: Step): StepOf<'evaluator'>[] {
  return steps.filter(
    (step): step is StepOf<'evaluator'> => step.type === 'evaluator' && Object.values(step.route_map).includes(id),
  );
}

/** The values of these keys, as data in a prompt. Those that are not there are left out. */
export function materialOf({ definition, values }: LoadedStep, keys: string[]): Material[] {
  const people = new Set([...humanKeys(definition), 'human_response']);
  return keys.flatMap((key) => {
    const value = values[key];
    if (value === undefined || value === null) return [];
    const by = people.has(key) ? ('person' as const) : ('agent' as const);
    return [{ by, text: asText(value), attributes: { from: key, title: key } }];
  });
}
