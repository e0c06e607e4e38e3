import { findDefinition } from '../db/orchestrations.ts';
import { textIdsOf, valuesOf, type StateRefs } from '../db/shared-state.ts';
import { describeTask } from '../db/tasks.ts';
import { insertText } from '../db/texts.ts';
import type { Definition, Step, StepOf } from '../workflows/contract/definition.ts';
import { storable } from '../workflows/contract/form.ts';
import type { ValueRef } from '../workflows/contract/shared-state.ts';
import type { Progress } from '../workflows/contract/states.ts';
import { takeTurn, type Turn } from './agent.ts';
import { askForJson, type Understood } from './ask-json.ts';
import { callOf, type Call } from './call.ts';
import { atWork } from './at-work.ts';
import { collect, compute, type Computed } from './compute.ts';
import type { ActivityDeps } from './deps.ts';
import { filesFor } from './files.ts';
import { chooseRouteAnswer, chooseRoutePrompt, findRoute } from './prompts/choose-route.ts';
import { stepPrompt } from './prompts/step.ts';
import { usualOutputTokens as max_output_tokens } from './output-tokens.ts';
import { asText, render, requireShort } from './state.ts';
import { enoughPlaces } from './places.ts';
import { letGo } from './room.ts';
import {
  agentOf,
  keysOfComputation,
  keysOfForm,
  keysOfPrompt,
  materialOf,
  modelOf,
  promptOf,
  toolsOf,
  type LoadedStep,
} from './step-reads.ts';

const previewLength = 300;

type StepInput = { run_id: string; task_id: string; step_id: string; definition_hash: string; progress?: Progress };
type StepCall = StepInput & { state: StateRefs };
type CallStep = StepCall & { turn?: number };
type CollectLoop = StepInput & { iterations: StateRefs[] };
type OpenForm = StepCall & { last_output_id: string | null };

/** The steps of orchestrations. What they read and write are texts in Postgres; only their ids pass through Temporal. */
export function createStepActivities(deps: ActivityDeps) {
  const getDefinition = createDefinitions(deps);

  async function atStep<T>(
    input: StepInput & { state?: StateRefs },
    keysOf: (step: Step, definition: Definition) => string[] | undefined,
    doIt: (loaded: LoadedStep) => Promise<T>,
    more_text_ids: (string | null)[] = [],
    places = deps.places,
  ): Promise<T> {
    const definition = await getDefinition(input.definition_hash);
    const step = definition.steps.find(({ id }) => id === input.step_id)!;
    const state = input.state ?? {};
    const ids = [...textIdsOf(state, keysOf(step, definition)), ...more_text_ids];
    return atWork({ ...deps, places }, input, ids, (work) =>
      doIt({ work, definition, step, values: valuesOf(state, work.texts) }),
    );
  }

  /** What is done in a moment takes no place, and room all the same. */
  const inAMoment = { ...enoughPlaces, roomFor: deps.places.roomFor };

  return {
    callStep: (input: CallStep) => atStep(input, keysOfPrompt, (loaded) => callStep(deps, input, loaded)),
    routeStep: (input: StepCall) => atStep(input, keysOfPrompt, (loaded) => routeStep(deps, input, loaded)),
    computeStep: (input: StepCall) => atStep(input, keysOfComputation, (loaded) => computeStep(deps, input, loaded)),
    collectLoop: (input: CollectLoop) =>
      atStep(
        input,
        () => [],
        (loaded) => collectLoop(deps, input, loaded),
        input.iterations.flatMap((results) => textIdsOf(results)),
        inAMoment,
      ),
    openForm: (input: OpenForm) =>
      atStep(input, keysOfForm, (loaded) => openForm(deps, input, loaded), [input.last_output_id], inAMoment),
  };
}

/** Finds definitions by their hash, and remembers some: under its hash a definition never changes. */
function createDefinitions({ db }: ActivityDeps) {
  const definitions = new Map<string, Promise<Definition>>();
  return (hash: string): Promise<Definition> => {
    const known = definitions.get(hash);
    if (known) return known;
    if (definitions.size >= 100) definitions.clear();
    const found = findDefinition(db, hash);
    definitions.set(hash, found);
    found.catch(() => definitions.delete(hash));
    return found;
  };
}

/** An agent's turn, the one call of an `llm` step, or the turn in which the tool of a `tool` step must be called. */
async function callStep(deps: ActivityDeps, { task_id, turn }: CallStep, loaded: LoadedStep): Promise<Turn> {
  const { step } = loaded;
  const call = await callAt(deps, task_id, loaded);
  letGoOf(loaded);
  const taken = await takeTurn(deps, call, step.name, toolsOf(loaded), turn);
  return taken.turn;
}

/** A function of its own, which holds nothing of what it has read once the model is asked. */
async function callAt(deps: ActivityDeps, task_id: string, loaded: LoadedStep): Promise<Call> {
  const { work } = loaded;
  const asked = promptOf(loaded, task_id, deps.max_value_length);
  const material = [...(await filesFor(deps, work)), ...asked.material];
  const prompt = stepPrompt({ ...asked, material, agent: agentOf(loaded) });
  return callOf(
    work,
    { agent: modelOf(loaded), task_id, purpose: 'run_step', attempt: 1 },
    { ...prompt, max_output_tokens },
  );
}

/** A model takes its time: the state that its prompt was made of is not held meanwhile. */
function letGoOf(loaded: LoadedStep): void {
  loaded.values = {};
  letGo(loaded.work);
}

/** Lets the model choose a route. An answer that cannot be read takes the first one, with a warning. */
async function routeStep(
  deps: ActivityDeps,
  { run_id, task_id }: StepCall,
  loaded: LoadedStep,
): Promise<{ label: string; reasoning: { text_id: string; preview: string }; warnings: string[] }> {
  const step = loaded.step as StepOf<'evaluator'>;
  const labels = Object.keys(step.route_map);
  const call = routeCallAt(deps, task_id, loaded);
  letGoOf(loaded);
  const answer = await askForJson(deps, call, chooseRouteAnswer, (choice) => withRoute(labels, choice));
  const label = answer?.value.label ?? labels[0]!;
  const reasoning = answer?.value.reasoning ?? 'The model gave no usable choice, so the first route was taken.';
  const text_id = `${run_id}/${task_id}/reasoning`;
  await insertText(deps.db, { text_id, run_id, text: reasoning });
  const preview = reasoning.slice(0, previewLength).toWellFormed();
  return { label, reasoning: { text_id, preview }, warnings: answer ? [] : [`${step.name}: ${reasoning}`] };
}

function routeCallAt({ max_value_length }: ActivityDeps, task_id: string, loaded: LoadedStep): Call {
  const { work, values } = loaded;
  const step = loaded.step as StepOf<'evaluator'>;
  const prompt = chooseRoutePrompt({
    task_id,
    name: step.name,
    instructions: render(
      step.evaluator_prompt ?? 'Choose the route that fits best.',
      values,
      max_value_length,
      'prompt',
    ),
    routes: Object.keys(step.route_map).map((label) => ({ label, description: step.route_descriptions[label] })),
    material: materialOf(loaded, step.input_keys),
  });
  return callOf(
    work,
    { agent: modelOf(loaded), task_id, purpose: 'choose_route', attempt: 1 },
    { ...prompt, max_output_tokens: 1_024 },
  );
}

function withRoute(
  labels: string[],
  { route, reasoning }: { route: string; reasoning: string },
): Understood<{ label: string; reasoning: string }> {
  const label = findRoute(labels, route);
  if (label === undefined) return { fault: `${JSON.stringify(route.slice(0, 100))} is none of the routes.` };
  return { value: { label, reasoning } };
}

/** The steps that need no model: merge, transform, extract_json, if_else, switch, print. */
async function computeStep(
  deps: ActivityDeps,
  input: StepCall,
  loaded: LoadedStep,
): Promise<{ output: ValueRef | null; decision?: string; warnings: string[] }> {
  const { value, decision, warnings } = await compute(loaded, deps.max_value_length);
  return { output: await storeValue(deps, input, 'output', value), decision, warnings };
}

/** What a loop leaves: for each step of its body, the list of its outputs. */
async function collectLoop(
  deps: ActivityDeps,
  input: CollectLoop,
  { work, definition, step }: LoadedStep,
): Promise<{ writes: StateRefs; output: ValueRef | null }> {
  const collected = collect(definition, step as StepOf<'loop'>, input.iterations, work.texts);
  const writes: StateRefs = {};
  for (const { output_key, list } of collected) {
    writes[output_key] = (await storeValue(deps, input, output_key, list))!;
  }
  const lists = Object.fromEntries(collected.map(({ name, list }) => [name, list]));
  const output = await storeValue(deps, input, 'output', lists);
  return { writes: step.output_key && output ? { ...writes, [step.output_key]: output } : writes, output };
}

/** Writes down what a person is shown at a human step: prompt, fields and context. The prompt describes its task, as do its skills. */
async function openForm(
  { db, max_value_length }: ActivityDeps,
  { run_id, task_id, step_id, last_output_id }: OpenForm,
  { work, step, values }: LoadedStep,
): Promise<void> {
  const { human_prompt, human_fields, input_keys, skills } = step as StepOf<'human'>;
  const read = input_keys.map((key) => values[key]).find(Boolean);
  const context = read ?? work.texts.get(last_output_id ?? '');
  const prompt = human_prompt?.trim()
    ? storable(render(human_prompt, values, max_value_length, 'prompt'))
    : 'Please provide input to continue.';
  const agent_context = context === undefined ? null : storable(asText(context));
  const form = { step_id, prompt, fields: human_fields, agent_context };
  await insertText(db, { text_id: `${run_id}/${task_id}/form`, run_id, text: JSON.stringify(form) });
  await describeTask(db, { run_id, id: task_id }, { description: prompt, ...(skills && { skills }) });
}

/**
 * Stores a value: small ones in the reference itself, all else as a text. Null is no value.
 * @throws `ValueTooLong`
 */
async function storeValue(
  { db, max_value_length }: ActivityDeps,
  { run_id, task_id }: StepInput,
  name: string,
  value: Computed['value'],
): Promise<ValueRef | null> {
  if (value === null || value === undefined) return null;
  if (typeof value === 'boolean' || typeof value === 'number') return { value };
  const text_id = `${run_id}/${task_id}/${name}`;
  const text = storable(asText(value));
  requireShort(text.length, max_value_length);
  await insertText(db, { text_id, run_id, text });
  return typeof value === 'string' ? { text: text_id } : { json: text_id };
}
