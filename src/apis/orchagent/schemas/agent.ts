import { z } from 'zod';
import { id, line, text, timestamp } from '../../../fields.ts';
import { createPackageSchema, packageName, packageType } from '../../../agents/package-schema.ts';
import { queryNumber } from '../../../http/query.ts';
import { slugPattern } from '../../../accounts/slugs.ts';

const orNull = (schema: z.ZodType) => schema.nullable();
const anyObject = z.record(z.string(), z.unknown());
const texts = z.array(z.string());
const skillFiles = z.array(z.object({ path: z.string(), content: z.string(), size: z.int() }));

/** What anybody may know of an agent that is public. */
const metadata = {
  id: z.string().meta({ description: 'Of this version.', example: '0199f3c2-7a51-7d3e-9a64-2f1b8c0d4e5f' }),
  org_slug: z.string().meta({ example: 'acme' }),
  name: z.string().meta({ example: 'invoice-scanner' }),
  version: z.string().meta({ example: 'v2' }),
  type: z.enum(['agent', 'skill', 'prompt', 'tool']),
  description: z.string().nullable(),
  run_mode: z.enum(['on_demand', 'always_on']),
  execution_engine: z.enum(['direct_llm', 'managed_loop', 'code_runtime']),
  callable: z.boolean(),
  default_endpoint: z.string(),
  input_schema: orNull(anyObject),
  output_schema: orNull(anyObject),
  accepts: texts,
  tags: texts,
  supported_providers: texts,
  default_models: z.record(z.string(), z.string()),
  timeout_seconds: z.int(),
  required_secrets: texts,
  optional_secrets: texts,
  default_skills: texts,
  skills_locked: z.boolean(),
  sdk_compatible: z.boolean(),
  is_public: z.boolean(),
  allow_local_download: z.boolean(),
  price_cents: z.int().nullable(),
  deprecated: z.boolean(),
  deprecated_at: timestamp.nullable(),
  sunset_at: timestamp.nullable().meta({ description: 'When it is not called any more.' }),
  created_at: timestamp,
};

/** What it is made of, where that may be seen. */
const making = {
  prompt: z.string().nullable(),
  manifest: orNull(anyObject),
  skill_files: skillFiles.nullable(),
  runtime: z.object({ command: z.string() }).nullable(),
  loop: orNull(anyObject),
  environment: z.record(z.string(), z.string()).nullable(),
  model_tasks: z.record(z.string(), z.string()).nullable(),
  source_url: z.string().nullable(),
  pip_package: z.string().nullable(),
  run_command: z.string().nullable(),
  entrypoint: z.string().nullable(),
};

/** What its own account knows besides. */
const owned = {
  agent_id: z
    .string()
    .meta({ description: 'Of the agent, with all of its versions, over `/api/v1` and `/v1`.', example: 'agt_abc123' }),
  org_id: z.string(),
  url: z.string().nullable(),
  tools: z.array(z.object({ name: z.string(), require_approval: z.boolean() })),
  idempotent: z.boolean(),
  on_interrupted: z.enum(['fail', 'ask']),
  code_hash: z.string().nullable(),
  bundle_size_bytes: z.int().nullable(),
  code_bundle_url: z.string().nullable(),
};

const { prompt: _, skill_files: __, loop: ___, ...listedMaking } = making;

export const listedAgentSchema = z.object({ ...metadata, ...listedMaking, ...owned }).meta({ id: 'ListedAgent' });

export const ownAgentSchema = z.object({ ...metadata, ...making, ...owned }).meta({ id: 'OwnAgent' });

export const publicListedSchema = z
  .object({ ...metadata, stars_count: z.int().meta({ description: 'How many other accounts have called it.' }) })
  .meta({ id: 'PublicAgentSummary' });

export const publicAgentSchema = z
  .object({ ...metadata, ...making })
  .meta({ id: 'PublicAgent', description: 'Of one that may not be downloaded, or costs, what it is made of is null.' });

export const downloadSchema = z
  .object({
    ...metadata,
    ...making,
    has_bundle: z.boolean(),
    dependencies: z.array(z.object({ id: z.string(), version: z.string() })),
  })
  .meta({ id: 'AgentDownload' });

const key = z.object({
  id,
  prefix: z.string(),
  created_at: timestamp,
  expires_at: timestamp.nullable().meta({ description: 'Null: never.' }),
  last_used_at: timestamp.nullable(),
});

export const publishedSchema = z
  .object({
    agent: ownAgentSchema,
    service_key: z
      .string()
      .optional()
      .meta({ description: 'Shown once: what its code calls other agents with.', example: 'sk_…' }),
    warnings: texts,
  })
  .meta({ id: 'AgentPublished' });

export const forkedSchema = publishedSchema
  .extend({ service_key_prefix: z.string().optional() })
  .meta({ id: 'AgentForked' });

export const changedSchema = ownAgentSchema.extend({ warnings: texts }).meta({ id: 'AgentChanged' });

export const validationSchema = z
  .object({ valid: z.boolean(), errors: texts, warnings: texts })
  .meta({ id: 'AgentValidation' });

export const previewSchema = z
  .object({ name: z.string(), existing_versions: texts, next_version: z.string(), org_slug: z.string() })
  .meta({ id: 'AgentPreview' });

export const deleteCheckSchema = z
  .object({
    agent_id: z.string(),
    agent_name: z.string(),
    requires_confirmation: z.boolean(),
    stars_count: z.int(),
    fork_count: z.int().meta({ description: 'Forks are not counted: 0.' }),
  })
  .meta({ id: 'AgentDeleteCheck' });

export const deletedSchema = z
  .object({ deleted: z.boolean(), agent_id: z.string(), agent_name: z.string() })
  .meta({ id: 'PublishedAgentDeleted' });

export const uploadedSchema = z
  .object({
    success: z.boolean(),
    code_hash: z.string().meta({ description: 'The SHA-256 of the archive.' }),
    bundle_size_bytes: z.int(),
    // Generators know no member that is never anything.
    environment_id: z.string().nullable(),
    environment_source: z
      .string()
      .nullable()
      .meta({ description: 'There are no environments of its own: `environment` is kept.' }),
  })
  .meta({ id: 'AgentCodeUploaded' });

export const agentKeysSchema = z.object({ keys: z.array(key) }).meta({ id: 'AgentKeys' });
export const agentKeyCreatedSchema = key
  .extend({ key: z.string().meta({ example: 'sk_…' }) })
  .meta({ id: 'AgentKeyCreated' });
export const nothingLeftSchema = z.object({ deleted: z.boolean() }).meta({ id: 'Deleted' });

/** The body of a validation is looked at by its handler: what is wrong with it is the answer. */
export const unvalidatedSchema = z.looseObject({}).meta({
  id: 'UnvalidatedAgent',
  description: 'As `PublishAgent`; what is wrong with it is answered.',
});
export { createPackageSchema };

export const versionId = z.uuid({ error: 'is not an id' }).meta({ example: '0199f3c2-7a51-7d3e-9a64-2f1b8c0d4e5f' });

export const ownListQuery = z.object({
  workspace_id: line(64).optional().meta({ description: 'That of this account; others are not found.' }),
  limit: queryNumber(z.int().min(1).max(200).default(200)),
  offset: queryNumber(z.int().min(0).max(100_000).default(0)),
});

export const previewQuery = z.object({ name: packageName });

export const deleteQuery = z.object({
  confirmation_name: line(100)
    .optional()
    .meta({ description: 'The name of the agent, where `delete-check` asks for it.' }),
});

export const forkSchema = z
  .strictObject({ workspace_id: line(64).optional(), new_name: packageName.optional() })
  .meta({ id: 'ForkAgent' });

const tag = z.string().min(1).max(50);

export const publicListQuery = z.object({
  search: text(1, 200).optional().meta({ description: 'In names, slugs, descriptions and tags.' }),
  tags: z
    .string()
    .max(500)
    .transform((given) =>
      given
        .split(',')
        .map((one) => one.trim())
        .filter((one) => one !== ''),
    )
    .pipe(z.array(tag).max(20))
    .optional()
    .meta({
      type: 'string',
      description: 'With commas between them: agents that have all of them.',
      example: 'finance,pdf',
    }),
  type: packageType.optional(),
  sort: z.enum(['stars', 'recent', 'name']).default('recent').meta({
    description: '`stars`: those that most other accounts have called come first.',
  }),
  limit: queryNumber(z.int().min(1).max(100).default(100)),
  offset: queryNumber(z.int().min(0).max(10_000).default(0)),
});

export const offerParams = z.object({
  org: z.string().regex(slugPattern, 'is not a slug').meta({ example: 'acme' }),
  agent: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'is not a name')
    .meta({ example: 'invoice-scanner' }),
  version: z
    .string()
    .regex(/^(v[1-9]\d{0,5}|latest)$/, 'is not a version')
    .meta({ example: 'latest' }),
});

export const estimateSchema = z
  .object({
    agent: z.string().meta({ example: 'acme/invoice-scanner@v2' }),
    type: z.string(),
    execution_engine: z.string(),
    supported_providers: texts,
    estimate: z.object({
      sample_size: z.int().meta({ description: 'Runs that were looked at; 0 where there are too few to tell.' }),
      avg_cost_usd: z.number().nullable(),
      p50_cost_usd: z.number().nullable(),
      p95_cost_usd: z.number().nullable(),
      avg_input_tokens: z.number().nullable(),
      avg_output_tokens: z.number().nullable(),
      avg_duration_ms: z.number().nullable(),
      success_rate: z.number().nullable(),
      period_days: z.int(),
      provider_breakdown: z.array(
        z.object({
          provider: z.string(),
          model: z.string(),
          runs: z.int(),
          total_cost_usd: z.number(),
          avg_cost_usd: z.number(),
        }),
      ),
    }),
    metadata: z.object({ request_id: z.string() }),
  })
  .meta({ id: 'CostEstimate' });
