import { z } from 'zod';
import type { AgentVersion } from '../../db/agents.ts';
import { id, line, requestObject, text, timestamp } from '../fields.ts';
import { budgetShape, onBudget } from './budget-schema.ts';
import { jsonSchema } from './json-schema.ts';
import { agentToolsSchema } from './tool-schema.ts';

/** A registered agent, as every surface takes it and shows it. */

/** `v1`, `v2`, …, or the newest. */
export const agentVersion = z
  .string()
  .regex(/^(v[1-9]\d{0,5}|latest)$/, 'must be a version such as "v2", or "latest"')
  .meta({ example: 'v2' });

const name = line(100).meta({
  description: 'No other agent of the account has it, whatever the case.',
  example: 'legal',
});

/** What can be said of an agent, and can be taken back with null. */
const clearable = {
  description: text(0, 2_000),
  system_prompt: text(0, 20_000).meta({
    description: "The template's of this name unless given; of another name: `You are an expert NAME.`",
  }),
  model: line(200).meta({ description: 'That of its provider, or of the run, unless given.', example: 'gpt-4o' }),
  provider_id: line(64).meta({ description: 'Whom its model is asked of; unless given, as its run says.' }),
  max_cost_usd: budgetShape.max_cost_usd
    .unwrap()
    .meta({ description: 'What the model calls of a run of its own may cost.' }),
  max_tokens: budgetShape.max_tokens.unwrap().meta({ description: 'What they may use, prompts and answers.' }),
  input_schema: jsonSchema(
    'A JSON Schema of an object: what the `input` of its runs must be. Types, properties, lists, enums, `anyOf` and bounds ' +
      'are taken; no `$ref`, no `pattern`.',
  ),
  output_schema: jsonSchema('The same of its output, which is JSON then. An answer that fails it is asked for again.'),
};

const said = {
  tools: agentToolsSchema,
  knowledge: z
    .array(id)
    .max(20)
    .transform((ids) => [...new Set(ids)])
    .meta({
      description:
        'Knowledge bases of `/v1/knowledge`: with any, it has the tool `search_knowledge`, which searches in them. The key needs `knowledge:read`.',
      example: ['kb_abc123'],
    }),
  max_turns: z.int().min(1).max(50).meta({
    description: 'With tools: how often its model is asked for one output. 15 unless given.',
  }),
  timeout_seconds: z
    .int()
    .min(1)
    .max(86_400)
    .meta({
      description:
        'What the turns of its model may take together, for one output of a run of its own; then the run fails. People and tools ' +
        'have their own time. 3600 unless given.',
    }),
  require_approval: z.boolean().meta({ description: 'Its output waits for approval.' }),
  on_budget: onBudget,
};

const optional = z.object({ ...clearable, ...said }).partial().shape;

export const createAgentSchema = requestObject({ name, ...optional }).meta({ id: 'CreateAgent' });

const orNull = <T extends z.ZodType>(schema: T) => schema.nullable().optional();
/** The document does not tell by itself that what is of no type in zod may be null. */
const schemaOrNull = (schema: z.ZodType) => orNull(schema).meta({ ...schema.meta(), type: ['object', 'null'] });

export const updateAgentSchema = requestObject({
  name: name.optional(),
  ...optional,
  description: orNull(clearable.description),
  system_prompt: orNull(clearable.system_prompt),
  model: orNull(clearable.model),
  provider_id: orNull(clearable.provider_id),
  max_cost_usd: orNull(clearable.max_cost_usd),
  max_tokens: orNull(clearable.max_tokens),
  input_schema: schemaOrNull(clearable.input_schema),
  output_schema: schemaOrNull(clearable.output_schema),
}).meta({ id: 'UpdateAgent' });

const identity = {
  agent_id: z.string().meta({ example: 'agt_abc123' }),
  name: z.string(),
  version: z.string().meta({ example: 'v2' }),
  version_id: z.string().meta({ example: '0199f3c2-7a51-7d3e-9a64-2f1b8c0d4e5f' }),
  description: z.string().nullable(),
  model: z.string().nullable(),
  provider_id: z.string().nullable(),
};

const times = {
  created_at: timestamp,
  updated_at: timestamp.meta({ description: 'When its newest version was made.' }),
};

const anySchema = z.record(z.string(), z.unknown()).nullable();

export const agentSchema = z
  .object({
    ...identity,
    system_prompt: z.string().nullable(),
    tools: z.array(z.object({ name: z.string(), require_approval: z.boolean() })),
    knowledge: z.array(z.string()),
    max_turns: z.int(),
    timeout_seconds: z.int(),
    require_approval: z.boolean(),
    max_cost_usd: z.number().nullable(),
    max_tokens: z.int().nullable(),
    on_budget: z.enum(['gate', 'fail']),
    input_schema: anySchema,
    output_schema: anySchema,
    ...times,
    version_created_at: timestamp,
  })
  .meta({ id: 'RegisteredAgent' });

/** An agent as it is shown. What it says as a package is orchagent's to show. */
export function toWire({
  type: _,
  code_hash: _hash,
  entrypoint: _entry,
  spec,
  ...agent
}: AgentVersion): z.infer<typeof agentSchema> {
  const { package: __, ...said } = spec;
  return { ...agent, ...said };
}

/** An agent in a list: without what may be long. */
export const agentSummarySchema = z.object({ ...identity, ...times }).meta({ id: 'AgentSummary' });

export const agentDeletedSchema = z
  .object({ agent_id: z.string(), status: z.literal('deleted'), message: z.string() })
  .meta({ id: 'AgentDeleted' });
