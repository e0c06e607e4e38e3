import type { HumanField } from './field-values.ts';
import { gateTerms, type GateTerms } from './gate-terms.ts';

/** What an orchestration is made of. Plain types and pure functions: the API checks with them what a run then follows. */

type Common = {
  id: string;
  name: string;
  input_keys: string[];
  output_key: string | null;
  next_step_id: string | null;
  timeout_seconds: number;
  /** How often the step may be entered; then the run goes on with its `next_step_id` instead. */
  max_iterations: number;
};

/** An agent of a step: one of its own, or a registered one that is named by its id, or by its name alone (`namesRegistered`). */
export type StepAgent = {
  name?: string;
  agent_id?: string;
  /** Of a registered one; the newest unless given. */
  version?: string;
  system_prompt: string | null;
  model: string | null;
};

/** Whether a registered agent is meant, if there is one. One that has a prompt of its own is the orchestration's. */
export function namesRegistered({ agent_id, system_prompt }: StepAgent): boolean {
  return agent_id !== undefined || !system_prompt?.trim();
}

/** A tool by its name, `http_request` or `server.tool` of an MCP server, and whether a person approves its calls. */
export type AgentTool = {
  name: string;
  require_approval: boolean;
  /** The knowledge bases in which `search_knowledge` searches, and no other tool. */
  knowledge?: string[];
  /** The agent that it calls, `org/agent@v1`, and no other tool. */
  calls?: string;
};

/** The tool by which agents run code that they write: only workers that have a sandbox call it. */
export const codeTool = 'run_code';

/** The tool that an agent has because of its knowledge bases. */
export const searchKnowledge = 'search_knowledge';

/** As it may be given. */
export type ToolChoice = string | AgentTool;

/** A name alone needs no approval. */
export function asAgentTool(choice: ToolChoice): AgentTool {
  return typeof choice === 'string' ? { name: choice, require_approval: false } : choice;
}

export type StepByType = {
  agent: {
    agent_id: string | null;
    agent: StepAgent | null;
    prompt_template: string | null;
    model: string | null;
    /** As many as its registered agent has, unless given. */
    max_turns?: number;
    /** What it may call; null is nothing, or what its registered agent may. */
    allowed_tools: ToolChoice[] | null;
  };
  llm: { agent?: StepAgent; prompt_template: string | null; model: string | null };
  tool: {
    forced_tool: string;
    require_approval?: boolean;
    agent_id: string | null;
    prompt_template: string | null;
    model: string | null;
    max_turns: number;
  };
  evaluator: {
    /** Label to step; null ends the line. */
    route_map: Record<string, string | null>;
    route_descriptions: Record<string, string>;
    evaluator_prompt: string | null;
    model: string | null;
  };
  parallel: { parallel_branches: string[][] };
  merge: { merge_strategy: 'list' | 'concat' | 'dict' };
  loop: { loop_count: number; loop_step_ids: string[] };
  /** Terms that it does not name are the run's. */
  human: Partial<GateTerms> & {
    human_prompt: string | null;
    human_fields: HumanField[];
    human_timeout_seconds: number | null;
    /** What its gates ask for. */
    skills?: string[];
  };
  transform: { transform_code: string };
  extract_json: unknown;
  if_else: { if_condition: string; if_true_step_id: string | null; if_false_step_id: string | null };
  switch: {
    switch_expression: string;
    switch_cases: Record<string, string | null>;
    switch_default_step_id: string | null;
  };
  print: { print_content: string };
  end: unknown;
};

export type StepType = keyof StepByType;
export type StepOf<T extends StepType> = { [K in T]: Common & { type: K } & StepByType[K] }[T];
export type Step = StepOf<StepType>;

export type Definition = {
  name: string;
  description: string;
  entry_step_id: string;
  steps: Step[];
  state_schema: Record<string, { type: string | null; default?: unknown; description: string | null }>;
  max_total_turns: number;
  max_total_cost_usd: number | null;
  timeout_minutes: number;
};

/**
 * Prompts and code, which may be long, the terms of gates, of which a run's workflow is told policies, and no URLs, and whom
 * they ask.
 */
type KeptInPostgres =
  | 'prompt_template'
  | 'evaluator_prompt'
  | 'human_prompt'
  | 'transform_code'
  | 'print_content'
  | 'agent'
  | 'skills'
  | keyof GateTerms;
type Outlined<S> = S extends unknown ? Omit<S, KeptInPostgres> : never;

/** A step as a run's workflow knows it. */
export type StepOutline = Outlined<Step>;
export type Outline = Pick<
  Definition,
  'entry_step_id' | 'max_total_turns' | 'max_total_cost_usd' | 'timeout_minutes'
> & { steps: StepOutline[] };

const keptInPostgres: KeptInPostgres[] = [
  'prompt_template',
  'evaluator_prompt',
  'human_prompt',
  'transform_code',
  'print_content',
  'agent',
  'skills',
  ...gateTerms,
];

export function outlineOf(definition: Definition): Outline {
  const { entry_step_id, max_total_turns, max_total_cost_usd, timeout_minutes } = definition;
  const steps = definition.steps.map((step) => {
    const entries = Object.entries(step).filter(([field]) => !keptInPostgres.includes(field as KeptInPostgres));
    const own = step.type === 'agent' || step.type === 'llm' ? step.agent : undefined;
    const agent = own ? { agent_id: own.name ?? own.agent_id } : {};
    return { ...Object.fromEntries(entries), ...agent } as StepOutline;
  });
  return { entry_step_id, max_total_turns, max_total_cost_usd, timeout_minutes, steps };
}

/** A place of a step that names another: the way to it from the step, and the step it names. */
export type Target = { path: (string | number)[]; step_id: string };

function target(path: (string | number)[], step_id: string | null): Target[] {
  return step_id === null ? [] : [{ path, step_id }];
}

function targetsOfMap(field: string, map: Record<string, string | null>): Target[] {
  return Object.entries(map).flatMap(([label, step_id]) => target([field, label], step_id));
}

/** Where the line may go on after this step. */
export function nextSteps(step: StepOutline): Target[] {
  const next = target(['next_step_id'], step.next_step_id);
  switch (step.type) {
    case 'end':
      return [];
    case 'evaluator':
      return [...targetsOfMap('route_map', step.route_map), ...next];
    case 'if_else':
      return [
        ...target(['if_true_step_id'], step.if_true_step_id),
        ...target(['if_false_step_id'], step.if_false_step_id),
        ...next,
      ];
    case 'switch':
      return [
        ...targetsOfMap('switch_cases', step.switch_cases),
        ...target(['switch_default_step_id'], step.switch_default_step_id),
        ...next,
      ];
    default:
      return next;
  }
}

/** True when a model works on steps of this type. */
export function asksModel({ type }: { type: StepType }): boolean {
  return type === 'agent' || type === 'llm' || type === 'tool' || type === 'evaluator';
}

/** The steps that run inside this one. */
export function innerSteps(step: StepOutline): Target[] {
  if (step.type === 'parallel') {
    return step.parallel_branches.flatMap((branch, index) =>
      branch.map((step_id, position) => ({ path: ['parallel_branches', index, position], step_id })),
    );
  }
  if (step.type === 'loop') {
    return step.loop_step_ids.map((step_id, index) => ({ path: ['loop_step_ids', index], step_id }));
  }
  return [];
}

/** The steps to which some way leads from these, and they themselves; no way goes through those `without`. */
export function reach(byId: Map<string, StepOutline>, from: string[], without = new Set<string>()): Set<string> {
  const reached = new Set<string>();
  const left = [...from];
  while (left.length > 0) {
    const id = left.pop()!;
    const step = byId.get(id);
    if (!step || reached.has(id) || without.has(id)) continue;
    reached.add(id);
    left.push(...[...nextSteps(step), ...innerSteps(step)].map(({ step_id }) => step_id));
  }
  return reached;
}

/** True when the line may end with this step. */
export function mayEnd(step: Step): boolean {
  switch (step.type) {
    case 'end':
      return true;
    case 'evaluator':
      return Object.values(step.route_map).includes(null);
    case 'if_else':
      return !step.next_step_id && !(step.if_true_step_id && step.if_false_step_id);
    case 'switch':
      return step.switch_default_step_id === null || Object.values(step.switch_cases).includes(null);
    default:
      return step.next_step_id === null;
  }
}
