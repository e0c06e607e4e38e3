import {
  innerSteps,
  mayEnd,
  nextSteps,
  reach,
  type Definition,
  type Step,
} from '../../workflows/contract/definition.ts';
import { optionsOf, boundsOf, fieldBounds, type HumanField } from '../../workflows/contract/field-values.ts';
import type { FieldFault } from '../errors.ts';
import { maxAttachments } from '../files/attach.ts';
import { syntaxFaults, type Source } from '../javascript/index.ts';
import { findTemplate } from '../agents/templates.ts';
import { keysOfRun } from './first-state.ts';
import { requiredFields } from '../runs/form-terms.ts';
import { ownTerms } from './terms.ts';

/**
 * All that is wrong with a definition beyond the shape of its fields: where it leads nowhere, names what is not there,
 * never ends, or has code that does not parse. Each fault names its place, and its step by id. `owner` is the account that
 * defines it.
 *
 * @throws NoThreadError when no thread was free in time to read its code.
 */
export async function definitionFaults(owner: string, definition: Definition): Promise<FieldFault[]> {
  const graph = readGraph(definition);
  const faults = [
    ...entryFaults(definition, graph),
    ...definition.steps.flatMap((step, at) => stepFaults(graph, step, at)),
  ];
  // Where steps are missing or twice there, what follows would say the same again in other words.
  if (faults.length === 0) faults.push(...lineFaults(definition, graph));
  return [...faults, ...keyFaults(definition), ...(await codeFaults(owner, definition))];
}

type Graph = { byId: Map<string, Step>; firstOf: Map<string, number> };

function readGraph({ steps }: Definition): Graph {
  return {
    byId: new Map(steps.map((step) => [step.id, step])),
    firstOf: new Map(steps.map(({ id }, index) => [id, index] as const).toReversed()),
  };
}

function fault(at: number, step: Step, path: (string | number)[], detail: string): FieldFault {
  return { path: ['steps', at, ...path], detail: `step "${step.id}": ${detail}` };
}

function entryFaults({ entry_step_id }: Definition, { byId }: Graph): FieldFault[] {
  if (byId.has(entry_step_id)) return [];
  return [{ path: ['entry_step_id'], detail: `"${entry_step_id}" is not a step of this orchestration` }];
}

/** What is wrong with one step by itself, and the steps that it names. */
function stepFaults(graph: Graph, step: Step, at: number): FieldFault[] {
  const faults: FieldFault[] = [];
  const here = (path: (string | number)[], detail: string) => faults.push(fault(at, step, path, detail));
  if (graph.firstOf.get(step.id) !== at) here(['id'], 'another step has this id');
  for (const { path, step_id } of [...nextSteps(step), ...innerSteps(step)]) {
    if (!graph.byId.has(step_id)) here(path, `"${step_id}" is not a step of this orchestration`);
  }
  if (step.type !== 'end' && step.next_step_id === step.id) here(['next_step_id'], 'leads to itself');
  if ('agent_id' in step && step.agent_id && !findTemplate(step.agent_id)) {
    here(['agent_id'], `"${step.agent_id}" is not a built-in agent; say in \`agent\` what another one is`);
  }
  switch (step.type) {
    case 'agent':
      if (step.agent && step.agent_id) here(['agent'], 'has an `agent_id` too; give one of them');
      break;
    case 'evaluator': {
      if (Object.keys(step.route_map).length === 0) here(['route_map'], 'has no routes');
      const unknown = Object.keys(step.route_descriptions).filter((label) => !Object.hasOwn(step.route_map, label));
      for (const label of unknown) here(['route_descriptions', label], 'describes no route of `route_map`');
      break;
    }
    case 'parallel':
      if (step.parallel_branches.length === 0) here(['parallel_branches'], 'has no branches');
      step.parallel_branches.forEach((branch, index) => {
        if (branch.length === 0) here(['parallel_branches', index], 'is a branch without steps');
        if (branch[0] === step.next_step_id) here(['parallel_branches', index], 'begins with the join, `next_step_id`');
      });
      break;
    case 'merge':
      if (step.input_keys.length === 0) here(['input_keys'], 'names nothing to merge');
      break;
    case 'loop':
      if (step.loop_step_ids.length === 0) here(['loop_step_ids'], 'names no steps to repeat');
      break;
    case 'switch':
      if (Object.keys(step.switch_cases).length === 0 && !step.switch_default_step_id) {
        here(['switch_cases'], 'has no cases');
      }
      break;
    case 'human': {
      const names = step.human_fields.map(({ name }) => name);
      if (step.human_fields.filter(({ type }) => type === 'file').length > maxAttachments)
        here(['human_fields'], `may have ${maxAttachments} fields of type file`);
      step.human_fields.forEach((field, index) => {
        if (names.indexOf(field.name) !== index) here(['human_fields', index, 'name'], 'another field has this name');
        for (const [member, detail] of fieldFaults(field)) here(['human_fields', index, member], detail);
      });
      const [term] = Object.keys(ownTerms(step));
      if (step.human_timeout_seconds !== null && term) {
        here(
          ['human_timeout_seconds'],
          `has \`${term}\` too; say \`gate_due_in\` and \`on_timeout: "reject"\` instead`,
        );
      }
      const required = requiredFields(step);
      if (step.on_timeout === 'approve' && required) {
        here(['on_timeout'], `"approve" leaves the form empty, which requires ${required}`);
      }
      break;
    }
  }
  return faults;
}

/** What is wrong with a field of a form by itself, by the member at which it is. */
function fieldFaults(field: HumanField): [member: keyof HumanField, detail: string][] {
  const { type } = field;
  const takesOptions = type === 'select' || type === 'multi_select';
  // Answers name them in any case.
  const count = new Set(optionsOf(field).map((option) => option.toLowerCase())).size;
  if (takesOptions && count === 0) return [['options', `a ${type} needs options`]];
  const own = boundsOf(type);
  const stray = fieldBounds.find((bound) => field[bound] !== undefined && !own?.includes(bound));
  if (stray) return [[stray, `bounds no ${type}`]];
  if (!own) return [];
  const [least, most] = own;
  const [from, to] = [field[least] ?? -Infinity, field[most] ?? Infinity];
  if (from > to) return [[least, `must be at most ${most}, ${to}`]];
  if (type === 'integer' && Math.ceil(from) > Math.floor(to))
    return [[least, `no whole number is between ${from} and ${to}`]];
  if (type === 'multi_select' && from > count)
    return [[least, `must be at most ${count}, the number of different options`]];
  return most !== 'max' && to === 0 ? [[most, 'must be more than 0']] : [];
}

/** What is wrong with the way the steps hang together. */
function lineFaults({ steps, entry_step_id }: Definition, graph: Graph): FieldFault[] {
  const faults: FieldFault[] = [];
  const reached = reach(graph.byId, [entry_step_id]);
  const finishing = whichFinish(steps);
  const caught = steps.find(({ id }) => reached.has(id) && !finishing.has(id));
  steps.forEach((step, at) => {
    const here = (path: (string | number)[], detail: string) => faults.push(fault(at, step, path, detail));
    if (!reached.has(step.id)) here([], 'is never reached from the entry');
    else if (step === caught) here(['next_step_id'], 'is in a cycle that nothing leads out of');

    const lines =
      step.type === 'parallel'
        ? step.parallel_branches
        : step.type === 'loop'
          ? step.loop_step_ids.map((id) => [id])
          : [];
    const field = step.type === 'parallel' ? 'parallel_branches' : 'loop_step_ids';
    const seen = new Set<string>();
    lines.forEach((line, index) => {
      const inside = insideOf(graph, step, line);
      if (inside.has(step.id)) here([field, index], 'leads back to this step');
      const ends = [...inside].find((id) => graph.byId.get(id)?.type === 'end');
      if (ends)
        here([field, index], `leads to "${ends}", and an end cannot be inside; a line ends where no step follows`);
      const shared = [...inside].find((id) => seen.has(id));
      if (shared && step.type === 'parallel') here([field, index], `shares "${shared}" with another branch`);
      inside.forEach((id) => seen.add(id));
    });
  });
  return faults;
}

/** All steps that a branch or a body may run. A branch of one step goes on to the join; others are as they are listed. */
function insideOf(graph: Graph, container: Step, line: string[]): Set<string> {
  if (container.type === 'parallel' && line.length === 1) {
    return reach(graph.byId, line, new Set(container.next_step_id === null ? [] : [container.next_step_id]));
  }
  const inner = line.flatMap((id) => innerSteps(graph.byId.get(id)!).map(({ step_id }) => step_id));
  return new Set([...line, ...reach(graph.byId, inner)]);
}

/** The steps from which some way leads to an end. */
function whichFinish(steps: Step[]): Set<string> {
  const finishing = new Set(steps.filter(mayEnd).map(({ id }) => id));
  for (let before = -1; before < finishing.size;) {
    before = finishing.size;
    for (const step of steps) {
      if (nextSteps(step).some(({ step_id }) => finishing.has(step_id))) finishing.add(step.id);
    }
  }
  return finishing;
}

/** The keys that nothing writes. */
function keyFaults({ steps, state_schema }: Definition): FieldFault[] {
  const written = new Set([
    ...keysOfRun,
    ...Object.keys(state_schema),
    ...steps.flatMap(({ output_key }) => (output_key === null ? [] : [output_key])),
    ...steps.flatMap(({ id, type }) => routingKeys(type).map((key) => `${key}${id}`)),
  ]);
  return steps.flatMap((step, at) =>
    step.input_keys.flatMap((key, index) =>
      written.has(key) ? [] : [fault(at, step, ['input_keys', index], `nothing writes "${key}"`)],
    ),
  );
}

function routingKeys(type: Step['type']): string[] {
  if (type === 'evaluator') return ['_routing_decision_', '_routing_reasoning_'];
  if (type === 'if_else') return ['_if_decision_'];
  return type === 'switch' ? ['_switch_decision_'] : [];
}

async function codeFaults(owner: string, { steps }: Definition): Promise<FieldFault[]> {
  const sources = steps.flatMap((step, at): (Source & { at: number; step: Step; field: string })[] => {
    const [field, code] = codeOf(step);
    if (field === undefined) return [];
    return [{ at, step, field, code, allowed: step.type === 'transform' ? 'statements' : 'expression' }];
  });
  const details = await syntaxFaults(
    owner,
    sources.map(({ code, allowed }) => ({ code, allowed })),
  );
  return sources.flatMap(({ at, step, field }, index) => {
    const detail = details[index];
    return detail === undefined ? [] : [fault(at, step, [field], detail)];
  });
}

function codeOf(step: Step): [field: string, code: string] | [undefined] {
  if (step.type === 'transform') return ['transform_code', step.transform_code];
  if (step.type === 'if_else') return ['if_condition', step.if_condition];
  return step.type === 'switch' ? ['switch_expression', step.switch_expression] : [undefined];
}
