import { findDefinition } from '../db/orchestrations.ts';
import { textIdsOf, valuesOf, type StateRefs } from '../db/shared-state.ts';
import { insertText } from '../db/texts.ts';
import { asAgentTool, type Definition, type Step, type StepOf } from '../workflows/contract/definition.ts';
import type { Progress } from '../workflows/contract/states.ts';
import type { ValueRef } from '../workflows/contract/shared-state.ts';
import { collect, compute, type Computed, type StepWork } from './compute.ts';
import { takeTurn, type Turn } from './agent.ts';
import type { ActivityDeps } from './deps.ts';
import { askForJson, atWork } from './model.ts';
import type { Material } from './prompts/blocks.ts';
import { chooseRouteAnswer, chooseRoutePrompt } from './prompts/choose-route.ts';
import { stepPrompt } from './prompts/step.ts';
import { asText, keysIn, render } from './state.ts';

const max_output_tokens = 8_192;
const previewLength = 300;

export type StepCall = {
  run_id: string;
  task_id: string;
  step_id: string;
  definition_hash: string;
  state: StateRefs;
  progress?: Progress;
};

/** The steps of orchestrations. What they read and write are texts in Postgres; only their ids pass through Temporal. */
export function createStepActivities(deps: ActivityDeps) {
  const { db } = deps;
  const definitions = new Map<string, Promise<Definition>>();

  /** A definition never changes under its hash. */
  function getDefinition(hash: string): Promise<Definition> {
    const known = definitions.get(hash);
    if (known) return known;
    if (definitions.size >= 100) definitions.clear();
    const found = findDefinition(db, hash);
    definitions.set(hash, found);
    found.catch(() => definitions.delete(hash));
    return found;
  }

  async function atStep<T>(
    input: Omit<StepCall, 'state'> & { state?: StateRefs },
    keysOf: (step: Step, definition: Definition) => string[] | undefined,
    doIt: (work: StepWork) => Promise<T>,
    more_text_ids: (string | null)[] = [],
  ): Promise<T> {
    const definition = await getDefinition(input.definition_hash);
    const step = definition.steps.find(({ id }) => id === input.step_id)!;
    const state = input.state ?? {};
    const ids = [...textIdsOf(state, keysOf(step, definition)), ...more_text_ids];
    return atWork(deps, input, ids, (work) => doIt({ work, definition, step, values: valuesOf(state, work.texts) }));
  }

  return {
    /** An agent's turn, the one call of an `llm` step, or the turn in which the tool of a `tool` step must be called. */
    callStep: (input: StepCall & { turn?: number }): Promise<Turn> =>
      atStep(input, keysOfPrompt, async (at) => {
        const { task_id } = input;
        const agent = agentOf(at);
        const request = { ...stepPrompt({ ...promptOf(at, task_id), agent }), max_output_tokens };
        const call = { work: at.work, agent: modelOf(at), task_id, purpose: 'run_step' as const, attempt: 1, request };
        return takeTurn(deps, call, at.step.name, toolsOf(at.step), input.turn);
      }),

    /** Lets the model choose a route. An answer that cannot be read takes the first one, with a warning. */
    routeStep: (
      input: StepCall,
    ): Promise<{ label: string; reasoning: { text_id: string; preview: string }; warnings: string[] }> =>
      atStep(input, keysOfPrompt, async (at) => {
        const { run_id, task_id } = input;
        const step = at.step as StepOf<'evaluator'>;
        const labels = Object.keys(step.route_map);
        const prompt = chooseRoutePrompt({
          task_id,
          name: step.name,
          instructions: render(step.evaluator_prompt ?? 'Choose the route that fits best.', at.values),
          routes: labels.map((label) => ({ label, description: step.route_descriptions[label] })),
          material: materialOf(at, step.input_keys),
        });
        const answer = await askForJson(
          deps,
          {
            work: at.work,
            agent: modelOf(at),
            task_id,
            purpose: 'choose_route',
            attempt: 1,
            request: { ...prompt, max_output_tokens: 1_024 },
          },
          chooseRouteAnswer,
          ({ route }) => (labels.includes(route) ? undefined : `"${route}" is none of the routes.`),
        );
        const label = answer?.value.route ?? labels[0]!;
        const reasoning = answer?.value.reasoning ?? 'The model gave no usable choice, so the first route was taken.';
        const text_id = `${run_id}/${task_id}/reasoning`;
        await insertText(db, { text_id, run_id, text: reasoning });
        const preview = reasoning.slice(0, previewLength).toWellFormed();
        return { label, reasoning: { text_id, preview }, warnings: answer ? [] : [`${step.name}: ${reasoning}`] };
      }),

    /** The steps that need no model: merge, transform, extract_json, if_else, switch, print. */
    computeStep: (input: StepCall): Promise<{ output: ValueRef | null; decision?: string; warnings: string[] }> =>
      atStep(input, keysOfComputation, async (at) => {
        const { value, decision, warnings } = await compute(at);
        return { output: await keepValue(input, 'output', value), decision, warnings };
      }),

    /** What a loop leaves: for each step of its body, the list of its outputs. */
    async collectLoop(
      input: Omit<StepCall, 'state'> & { iterations: StateRefs[] },
    ): Promise<{ writes: StateRefs; output: ValueRef | null }> {
      const ids = input.iterations.flatMap((results) => textIdsOf(results));
      return atStep(
        input,
        () => [],
        async ({ work, definition, step }) => {
          const collected = collect(definition, step as StepOf<'loop'>, input.iterations, work.texts);
          const writes: StateRefs = {};
          for (const { output_key, list } of collected) {
            writes[output_key] = (await keepValue(input, output_key, list))!;
          }
          const output = await keepValue(
            input,
            'output',
            Object.fromEntries(collected.map(({ name, list }) => [name, list])),
          );
          return { writes: step.output_key && output ? { ...writes, [step.output_key]: output } : writes, output };
        },
        ids,
      );
    },

    /** Writes down what a person is shown at a human step: prompt, fields and context. */
    openForm: (input: StepCall & { last_output_id: string | null }): Promise<void> =>
      atStep(
        input,
        (step) => [...step.input_keys, ...keysIn((step as StepOf<'human'>).human_prompt)],
        async ({ work, step, values }) => {
          const { human_prompt, human_fields, input_keys } = step as StepOf<'human'>;
          const read = input_keys.map((key) => values[key]).find(Boolean);
          const context = read ?? work.texts.get(input.last_output_id ?? '');
          const form = {
            step_id: input.step_id,
            prompt: human_prompt?.trim() ? render(human_prompt, values) : 'Please provide input to continue.',
            fields: human_fields,
            agent_context: context === undefined ? null : asText(context),
          };
          const { run_id, task_id } = input;
          await insertText(db, { text_id: `${run_id}/${task_id}/form`, run_id, text: JSON.stringify(form) });
        },
        [input.last_output_id],
      ),
  };

  /** Keeps a value: small ones in the reference itself, all else as a text. Null is no value. */
  async function keepValue(
    { run_id, task_id }: { run_id: string; task_id: string },
    name: string,
    value: Computed['value'],
  ): Promise<ValueRef | null> {
    if (value === null || value === undefined) return null;
    if (typeof value === 'boolean' || typeof value === 'number') return { value };
    const text_id = `${run_id}/${task_id}/${name}`;
    // Postgres stores no NUL.
    const text = asText(value).replaceAll('\u0000', '').toWellFormed();
    await insertText(db, { text_id, run_id, text });
    return typeof value === 'string' ? { text: text_id } : { json: text_id };
  }
}

const humanKeys = (definition: Definition) =>
  definition.steps.flatMap(({ type, output_key }) => (type === 'human' && output_key ? [output_key] : []));

function keysOfPrompt(step: Step, definition: Definition): string[] {
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

/** Undefined is all: code may read anything. */
function keysOfComputation(step: Step): string[] | undefined {
  if (step.type === 'merge' || step.type === 'extract_json') return step.input_keys;
  return step.type === 'print' ? keysIn(step.print_content) : undefined;
}

function agentOf({ step, work }: StepWork): { name: string; system_prompt: string } | undefined {
  if (step.type !== 'agent') return undefined;
  const name = step.agent?.name ?? step.agent_id ?? step.name;
  return { name, system_prompt: work.run.agents.find((agent) => agent.name === step.id)?.system_prompt ?? '' };
}

function toolsOf(step: Step) {
  if (step.type === 'tool') {
    const { forced_tool, require_approval = false } = step;
    return { tools: [{ name: forced_tool, require_approval }], forced_tool };
  }
  if (step.type !== 'agent') return {};
  return { tools: (step.allowed_tools ?? []).map(asAgentTool), max_turns: step.max_turns };
}

/** The model of the step, as the run froze it; undefined is the run's own. */
function modelOf({ step, work }: StepWork) {
  return work.run.agents.find(({ name }) => name === step.id);
}

function promptOf(at: StepWork, task_id: string) {
  const { step, values, definition } = at;
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
    instructions: template?.trim() ? render(template, values) : message || step.name,
    material: materialOf(at, [...new Set([...people, ...step.input_keys])]),
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

function materialOf({ definition, values }: StepWork, keys: string[]): Material[] {
  const people = new Set([...humanKeys(definition), 'human_response']);
  return keys.flatMap((key) => {
    const value = values[key];
    if (value === undefined || value === null) return [];
    const by = people.has(key) ? ('person' as const) : ('agent' as const);
    return [{ task_id: key, title: key, by, text: asText(value) }];
  });
}
