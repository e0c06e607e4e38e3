import { z } from 'zod';
import { isObject } from '../llm/index.ts';
import { json, line, requestObject, text } from '../fields.ts';
import { readRef } from './offers.ts';
import { agentToolsSchema } from './tool-schema.ts';

/** An agent as it is published: what it does, and how it is offered. Names are those of the orchagent CLI. */

const mostFiles = 100;
const mostFileCharacters = 1_000_000;
const mostJson = 20_000;

export const packageName = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9._-]{0,99}$/,
    'must be of lower-case letters, digits, ".", "_" and "-", begin with a letter or digit, and have at most 100 characters',
  )
  .meta({ description: 'It stands in the path of its calls.', example: 'invoice-scanner' });

const types = ['agent', 'skill', 'prompt', 'tool'] as const;
const olderTypes = { agentic: 'agent', code: 'tool' } as const;

export const packageType = z
  .enum([...types, 'agentic', 'code'])
  .transform((type) =>
    type in olderTypes ? olderTypes[type as keyof typeof olderTypes] : (type as (typeof types)[number]),
  )
  .meta({ description: '`agentic` and `code` are older words for `agent` and `tool`.', example: 'prompt' });

/** An object of JSON whose members nobody looks at, or few do. */
function jsonObject(description: string, example: object) {
  return json()
    .superRefine((value, context) => {
      if (value === undefined || value === null) return;
      if (!isObject(value)) context.addIssue({ code: 'custom', message: 'must be an object' });
      else if (JSON.stringify(value).length > mostJson)
        context.addIssue({ code: 'custom', message: `must have at most ${mostJson} characters as JSON` });
    })
    .transform((value) => value as Record<string, unknown> | null | undefined)
    .optional()
    .meta({ description, type: ['object', 'null'], additionalProperties: true, example });
}

const schemaOf = (of: string) =>
  jsonObject(
    `A JSON Schema of ${of}. What of it is not checked here, such as \`$ref\` and \`pattern\`, is kept and shown, and named in \`warnings\`.`,
    { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] },
  );

const orNull = <T extends z.ZodType>(schema: T) => schema.nullable().optional();
const list = <T extends z.ZodType>(item: T, most: number) => z.array(item).max(most).optional();
const words = (name: number, value: number, most: number) =>
  z
    .record(line(name), text(0, value))
    .refine((given) => Object.keys(given).length <= most, `must have at most ${most} members`)
    .optional();

const secretNames = list(z.string().regex(/^[A-Z][A-Z0-9_]{0,127}$/, 'must be a name such as STRIPE_KEY'), 50);

/** A file below a folder. */
export const relativePath = line(255).refine(
  (path) =>
    !path.startsWith('/') && !path.includes('\\') && path.split('/').every((part) => part !== '..' && part !== ''),
  'must be a relative path, without ".."',
);

const skillFile = requestObject({
  path: relativePath,
  content: text(0, mostFileCharacters),
  size: z.int().min(0).optional().meta({ description: 'Counted anew.' }),
});

const manifest = z
  .looseObject({
    manifest_version: z.int().min(1).max(1_000).optional(),
    dependencies: list(
      z
        .looseObject({
          id: line(200).refine((id) => readRef(id) !== undefined && !id.includes('@'), 'must be such as "org/agent"'),
          version: z.string().regex(/^(v[1-9]\d{0,5}|latest)$/, 'must be such as "v1"'),
        })
        .meta({ id: 'AgentDependency' }),
      50,
    ).refine(
      (all) => new Set(all?.map(({ id }) => id.toLowerCase())).size === (all?.length ?? 0),
      'must name each agent once',
    ),
    max_hops: z.int().min(0).max(100).optional(),
    timeout_ms: z.int().min(1).max(86_400_000).optional(),
    per_call_downstream_cap: z.number().min(0).max(1_000_000).optional(),
    downstream_spend_cap: z.number().min(0).max(1_000_000).optional(),
    orchestration_mode: z.enum(['strict', 'flexible']).optional(),
    hosts: list(line(253), 50),
  })
  .meta({
    id: 'AgentManifest',
    description:
      'What an agent that calls others says of that. Caps are in US cents. `hosts`: those that its code may reach.',
    example: { manifest_version: 1, dependencies: [{ id: 'acme/leak-finder', version: 'v1' }], max_hops: 2 },
  });

/** What a version does. A change of it makes another version. */
const doing = {
  type: packageType.optional(),
  description: orNull(text(0, 2_000)),
  prompt: orNull(text(0, 100_000)).meta({ example: 'Name the parties of the contract in `text`.' }),
  execution_engine: z.enum(['direct_llm', 'managed_loop', 'code_runtime']).optional().meta({
    description:
      'Unless given: `code_runtime` with `runtime.command`, `managed_loop` with a `loop`; else by the type, `tool` and `agent`; else `direct_llm`.',
  }),
  run_mode: z.enum(['on_demand', 'always_on']).optional(),
  runtime: orNull(requestObject({ command: line(1_000) })),
  loop: jsonObject('Of a `managed_loop`. `max_turns` is how often its model is asked.', { max_turns: 12 }),
  tools: agentToolsSchema.optional(),
  url: orNull(line(2_000)).meta({ description: 'Kept. Agents that run elsewhere are not called yet.' }),
  input_schema: schemaOf('the object that its calls take'),
  output_schema: schemaOf('the object that it answers with'),
  default_endpoint: z
    .string()
    .regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'must be of lower-case letters, digits, "_" and "-"')
    .optional()
    .meta({ description: 'Beside `run` and `analyze`.' }),
  accepts: list(
    z.string().regex(/^[A-Za-z]+[/]([*]|[A-Za-z0-9][\w.+-]{0,99})$/, 'must be a media type such as "application/pdf"'),
    50,
  ),
  supported_providers: list(z.enum(['openai', 'anthropic', 'gemini', 'ollama', 'any']), 5),
  default_models: words(50, 200, 10),
  model_tasks: words(100, 200, 50),
  timeout_seconds: z.int().min(1).max(86_400).optional().meta({ description: '300 unless given.' }),
  idempotent: z.boolean().optional().meta({ description: 'Its code may be run again after a crash of the server.' }),
  on_interrupted: z.enum(['fail', 'ask']).optional(),
  environment: orNull(words(50, 500, 20).unwrap()),
  manifest: orNull(manifest),
  required_secrets: secretNames,
  optional_secrets: secretNames,
  default_skills: list(
    line(200).refine((ref) => readRef(ref) !== undefined, 'must be a reference such as "org/skill@v1"'),
    20,
  ),
  skills_locked: z.boolean().optional(),
  skill_files: z
    .array(skillFile)
    .max(mostFiles)
    .refine((files) => new Set(files.map(({ path }) => path)).size === files.length, 'must have each path once')
    .refine(
      (files) => files.reduce((sum, { content }) => sum + content.length, 0) <= mostFileCharacters,
      `must have at most ${mostFileCharacters} characters in all`,
    )
    .optional(),
  source_url: orNull(line(2_000)),
  pip_package: orNull(line(200)),
  run_command: orNull(line(1_000)),
  sdk_compatible: z.boolean().optional(),
};

const tag = line(50).refine((word) => !word.includes(','), 'must have no comma');

/** How a version is offered. */
const offer = {
  is_public: z
    .boolean()
    .optional()
    .meta({ description: 'Other accounts find it, and may call it where it is `callable`.' }),
  callable: z.boolean().optional(),
  allow_local_download: z.boolean().optional(),
  price_cents: z.int().min(0).max(1_000_000).nullable().optional().meta({ description: 'What a call costs others.' }),
  tags: list(tag, 20),
};

/** What stands for the offer among what is given. */
export const offerFields = Object.keys(offer) as (keyof typeof offer)[];

export const createPackageSchema = requestObject({
  name: packageName,
  version: z
    .string()
    .regex(/^v[1-9]\d{0,5}$/, 'must be such as "v2"')
    .optional()
    .meta({ description: 'The server gives it: v1, v2, … Where it is given, it must be the next.' }),
  ...doing,
  ...offer,
}).meta({ id: 'PublishAgent' });

export const updatePackageSchema = requestObject({
  name: packageName.optional(),
  ...doing,
  ...offer,
  deprecated: z.boolean().optional().meta({ description: 'It is called for sixty days more.' }),
}).meta({ id: 'UpdatePublishedAgent' });

type Doing = { [Name in keyof typeof doing]?: z.infer<(typeof doing)[Name]> };
type Offering = { [Name in keyof typeof offer]?: z.infer<(typeof offer)[Name]> };

/** What is given of a package. */
export type PackageRequest = Doing & Offering & { name?: string | undefined };
