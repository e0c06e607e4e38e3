import { z } from 'zod';
import { id, json, line, members, orNull, requestObject, text } from '../fields.ts';
import { agentVersion } from '../agents/agent-schema.ts';
import { agentToolsSchema } from '../agents/tool-schema.ts';
import { namesRegistered, type StepAgent } from '../../workflows/contract/definition.ts';
import { humanField, stateKey } from './form-schema.ts';
import { askedSkills } from '../people/skills-schema.ts';
import { gateTermsShape, onTimeout } from '../runs/terms-schema.ts';

const stepId = z
  .string()
  .regex(/^[A-Za-z0-9][\w-]{0,47}$/, 'must be 1 to 48 letters, digits, _ or -, and begin with a letter or digit');
/** Also the keys that runs write themselves. */
const readableKey = z.string().regex(/^\w[\w-]{0,127}$/, 'is not a key of the state');
const label = z.string().regex(/^[A-Za-z0-9][\w -]{0,63}$/, 'must be 1 to 64 letters, digits, spaces, _ or -');
const target = orNull(stepId);
const template = orNull(text(0, 50_000));
const model = orNull(line(200));
const seconds = z.number().positive();

/** A shipped orchestration, or one of the account's own. */
export const orchestrationId = z.string().regex(/^[\w-]{1,64}$/, 'must be 1 to 64 letters, digits, _ or -');

const ignored = z.unknown().optional().meta({ description: 'Ignored: answers have it, and so exports do.' });

const common = {
  id: stepId.meta({ example: 'step-research' }),
  name: text(1, 200).meta({ example: 'Research' }),
  input_keys: z.array(readableKey).max(50).default([]).meta({ description: 'What the step reads of the state.' }),
  output_key: orNull(stateKey).meta({
    description: 'Where its result is kept in the state; without it the result is not kept there.',
    example: 'research_results',
  }),
  next_step_id: target.meta({ description: 'Without one the run, branch or loop body ends here.' }),
  timeout_seconds: seconds.max(86_400).default(300).meta({
    description: 'Of the step itself; people are waited for without it, and steps inside have their own.',
  }),
  max_iterations: z
    .int()
    .min(1)
    .max(1_000)
    .default(3)
    .meta({
      description:
        'How often the step may be entered; then the run goes on with `next_step_id` instead, or fails when that would lose what a ' +
        'person has answered.',
    }),
  label: ignored,
  depends_on: ignored,
  position_x: ignored,
  position_y: ignored,
};

const agent = requestObject({
  name: line(100).optional().meta({
    description:
      'Without a `system_prompt` of its own: that of a registered agent of the account, else of a template, or any other.',
    example: 'researcher',
  }),
  agent_id: id.optional().meta({ description: 'A registered agent, whatever its name.', example: 'agt_abc123' }),
  version: agentVersion
    .optional()
    .meta({ description: 'Of a registered agent: the newest at the start of a run unless given.' }),
  system_prompt: orNull(text(0, 20_000)),
  model,
}).superRefine(({ name, agent_id, version, system_prompt }, context) => {
  const refuse = (at: string, message: string) => context.addIssue({ code: 'custom', path: [at], message });
  if (name === undefined && agent_id === undefined) refuse('name', 'is required, or `agent_id`');
  else if (version !== undefined && !namesRegistered({ agent_id, system_prompt, model: null })) {
    refuse('version', 'is of a registered agent, and this one has a prompt of its own; give its `agent_id`');
  }
});
const agent_id = orNull(line(100)).meta({ description: 'A built-in agent.', example: 'research' });
/** All of a state goes along with each step, through Temporal. */
const maxStateKeys = 200;

/** As many as there may be steps. */
const maxRoutes = 200;

const turns = z.int().min(1).max(100);
const prompt_template = template.meta({
  description: '`{state.key}` is replaced by the value. The message of the run unless given.',
  example: 'Research {state.query}.',
});

/** A type of step, by its name in `/openapi.json`: generated clients have a class of this name. */
function step<const Type extends string, Shape extends z.ZodRawShape>(id: string, type: Type, shape: Shape) {
  return z.strictObject({ type: z.literal(type), ...common, ...shape }).meta({ id });
}

const stepSchema = z
  .discriminatedUnion('type', [
    step('AgentStep', 'agent', {
      agent_id,
      agent: orNull(agent).meta({
        description:
          'A registered agent, or one of this orchestration. What the step says beside it goes before what it brings.',
      }),
      prompt_template,
      model,
      max_turns: turns.optional().meta({ description: 'Those of its registered agent, or 15, unless given.' }),
      allowed_tools: orNull(agentToolsSchema).meta({ description: 'Those of its registered agent unless given.' }),
    }),
    step('LlmStep', 'llm', {
      agent: agent.optional().meta({
        description: 'Whose prompt and model it has. It is asked once, and calls no tools.',
      }),
      prompt_template,
      model,
    }),
    step('ToolStep', 'tool', {
      forced_tool: text(1, 200).meta({
        description: 'A name of `GET /api/v1/tools`. The model writes its arguments.',
      }),
      require_approval: z.boolean().optional().meta({ description: 'A person approves the call.' }),
      agent_id,
      prompt_template,
      model,
      max_turns: turns.default(15),
    }),
    step('EvaluatorStep', 'evaluator', {
      route_map: members(label, stepId.nullable(), maxRoutes).meta({
        description: 'Label to step; null ends the run.',
      }),
      route_descriptions: members(label, text(0, 1_000), maxRoutes).default({}),
      evaluator_prompt: template,
      model,
    }),
    step('ParallelStep', 'parallel', {
      parallel_branches: z.array(z.array(stepId).max(50)).max(50).meta({
        description: 'One step: it and what follows it, up to `next_step_id`, the join. Several: exactly those.',
      }),
    }),
    step('MergeStep', 'merge', {
      merge_strategy: z.enum(['list', 'concat', 'dict']).default('list'),
    }),
    step('LoopStep', 'loop', {
      loop_count: z.int().min(1).max(100).default(3),
      loop_step_ids: z.array(stepId).max(50),
    }),
    step('HumanStep', 'human', {
      human_prompt: template,
      human_fields: z.array(humanField).max(50).default([]),
      human_timeout_seconds: orNull(seconds.max(366 * 86_400)).meta({
        description: 'The step fails when nobody has answered by then: as `gate_due_in` with `on_timeout: "reject"`.',
      }),
      skills: askedSkills.optional(),
      ...gateTermsShape,
      on_timeout: onTimeout.optional(),
    }),
    step('TransformStep', 'transform', {
      transform_code: text(0, 50_000).meta({
        description: 'JavaScript over `state`: an expression, or statements that return or assign `result`.',
      }),
    }),
    step('ExtractJsonStep', 'extract_json', {}),
    step('IfElseStep', 'if_else', {
      if_condition: text(0, 10_000).meta({ example: 'state.score >= 7' }),
      if_true_step_id: target,
      if_false_step_id: target,
    }),
    step('SwitchStep', 'switch', {
      switch_expression: text(0, 10_000).meta({ example: 'state.review.decision' }),
      switch_cases: members(text(1, 200), stepId.nullable(), maxRoutes).default({}),
      switch_default_step_id: target,
    }),
    step('PrintStep', 'print', { print_content: text(0, 50_000) }),
    step('EndStep', 'end', {}),
  ])
  .transform(({ label: _l, depends_on: _d, position_x: _x, position_y: _y, ...step }) => {
    if (step.type === 'agent') return withTurns(step);
    if (step.type !== 'human') return step;
    const human_fields = step.human_fields.map((field) => ({
      ...field,
      required: field.required ?? field.type === 'select',
    }));
    return { ...step, human_fields };
  });

/** As it was before steps named registered agents, whose own number it has. */
function withTurns<S extends { agent: StepAgent | null; max_turns?: number | undefined }>(step: S): S {
  if (step.max_turns !== undefined || (step.agent && namesRegistered(step.agent))) return step;
  return { ...step, max_turns: 15 };
}

/** Exports have all fields of all types in every step, with null for those that are not of its type. */
function withoutAnyNulls(step: unknown): unknown {
  if (typeof step !== 'object' || step === null || Array.isArray(step)) return step;
  return Object.fromEntries(Object.entries(step).filter(([, value]) => value !== null));
}

const maxCost = z.number().min(0);

/** Of an orchestration that is made. */
export const ownId = orchestrationId.refine((id) => id !== 'runs', 'is the path of the runs');

/** What a definition says of itself. */
export const definitionShape = {
  name: text(1, 200).meta({ example: 'Research → Report' }),
  description: text(0, 5_000).default(''),
  entry_step_id: stepId,
  steps: z.array(z.preprocess(withoutAnyNulls, stepSchema)).min(1).max(200),
  state_schema: members(
    stateKey,
    requestObject({
      type: orNull(text(0, 100)),
      default: json().optional().meta({ description: 'Any JSON value.' }),
      description: orNull(text(0, 1_000)),
    }),
    maxStateKeys,
  )
    .default({})
    .meta({ description: 'What the state begins with, at most 200 keys. The message of a run goes to its first key.' }),
  max_total_turns: z.int().min(1).max(1_000).default(100).meta({ description: 'Step executions in one run.' }),
  max_total_cost_usd: orNull(maxCost),
  timeout_minutes: z.number().positive().max(100_000).default(30).meta({
    description: 'Since the start, or since a person answered; waiting for people does not count.',
  }),
};

/** Parts of it, of which those that are given are changed: null takes the limit of cost away. */
export const definitionParts = {
  name: definitionShape.name.optional(),
  description: definitionShape.description.unwrap().optional(),
  entry_step_id: definitionShape.entry_step_id.optional(),
  steps: definitionShape.steps.optional(),
  state_schema: definitionShape.state_schema.unwrap().optional(),
  max_total_turns: definitionShape.max_total_turns.unwrap().optional(),
  max_total_cost_usd: maxCost.nullable().optional(),
  timeout_minutes: definitionShape.timeout_minutes.unwrap().optional(),
};

export const definitionSchema = requestObject({
  id: ownId.optional().meta({ description: 'Made up unless given.', example: 'orch-research-report' }),
  ...definitionShape,
  edges: ignored,
  avatar: ignored,
  trigger: ignored,
  hash: ignored,
  is_shipped: ignored,
  created_at: ignored,
  updated_at: ignored,
}).meta({
  id: 'OrchestrationDefinition',
  example: {
    name: 'Research → Report',
    entry_step_id: 'research',
    steps: [
      {
        id: 'research',
        name: 'Research',
        type: 'agent',
        agent_id: 'research',
        prompt_template: 'Research {state.query}.',
        output_key: 'notes',
        next_step_id: 'report',
      },
      {
        id: 'report',
        name: 'Report',
        type: 'llm',
        prompt_template: 'Write a short report from these notes: {state.notes}',
        output_key: 'report',
      },
    ],
    state_schema: { query: { type: 'string' } },
  },
});
