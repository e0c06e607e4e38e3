import type { AgentSpec, Engine, PackageManifest, PackageSpec, PackageType } from '../../db/schema.ts';
import { checkableSchema } from './checkable-schema.ts';
import type { PackageRequest } from './package-schema.ts';
import { unsaidAgent } from './registry.ts';

/** What a package says of what it does, put together from what is given and what was there. */

/** Of an agent that says nothing else of itself as a package. */
export const unsaidPackage: PackageSpec = {
  engine: 'direct_llm',
  run_mode: 'on_demand',
  default_endpoint: 'run',
  accepts: [],
  runtime: null,
  idempotent: false,
  on_interrupted: 'fail',
  environment: null,
  loop: null,
  manifest: null,
  supported_providers: ['any'],
  default_models: {},
  model_tasks: {},
  required_secrets: [],
  optional_secrets: [],
  default_skills: [],
  skills_locked: false,
  skill_files: [],
  url: null,
  source_url: null,
  pip_package: null,
  run_command: null,
  sdk_compatible: false,
};

const newAgent: Omit<AgentSpec, 'name' | 'package'> = { ...unsaidAgent, timeout_seconds: 300, on_budget: 'fail' };

/** What an agent says as a package; one that was registered as none is what its tools say. */
export function packageOf({ package: said, tools }: AgentSpec): PackageSpec {
  return said
    ? { ...unsaidPackage, ...said }
    : { ...unsaidPackage, engine: tools.length > 0 ? 'managed_loop' : 'direct_llm' };
}

type Kinds = Pick<PackageRequest, 'type' | 'execution_engine' | 'runtime' | 'loop'>;

/** Which engine is meant, as the CLI infers it. */
export function engineOf({ type, execution_engine, runtime, loop }: Kinds): Engine {
  if (execution_engine) return execution_engine;
  if (runtime?.command) return 'code_runtime';
  if (loop && Object.keys(loop).length > 0) return 'managed_loop';
  if (type === 'tool') return 'code_runtime';
  return type === 'agent' ? 'managed_loop' : 'direct_llm';
}

/** Of which type it is where that is not said. */
function typeOf(kinds: Kinds): PackageType {
  if (kinds.type) return kinds.type;
  return ({ code_runtime: 'tool', managed_loop: 'agent', direct_llm: 'prompt' } as const)[engineOf(kinds)];
}

export type Described = { spec: AgentSpec; type: PackageType; warnings: string[] };

/** What a version says with what is given, over what the one before it said. Its tools have been looked at before. */
export function describe(
  given: PackageRequest & { name: string },
  tools: AgentSpec['tools'] | undefined,
  before?: { spec: AgentSpec; type: PackageType },
): Described {
  const own = before ? packageOf(before.spec) : unsaidPackage;
  const kinds: Kinds = {
    type: given.type ?? before?.type,
    execution_engine: given.execution_engine,
    runtime: given.runtime === undefined ? own.runtime : given.runtime,
    loop: given.loop === undefined ? own.loop : given.loop,
  };
  const isOther =
    !before || [given.type, given.runtime, given.loop, given.execution_engine].some((one) => one !== undefined);
  const type = typeOf(kinds);
  const engine = isOther ? engineOf({ ...kinds, type }) : own.engine;
  const was: AgentSpec = before?.spec ?? { name: given.name, ...newAgent };
  const schemas = schemasOf(given, was, own);
  const { manifest, warnings } = manifestOf(given, own);
  const spec: AgentSpec = {
    ...was,
    name: given.name,
    description: said(given.description, was.description),
    system_prompt: given.prompt?.trim() === '' ? null : said(given.prompt, was.system_prompt),
    tools: tools ?? was.tools,
    max_turns: turnsOf(kinds.loop) ?? was.max_turns,
    timeout_seconds: given.timeout_seconds ?? was.timeout_seconds,
    input_schema: schemas.input_schema,
    output_schema: schemas.output_schema,
    package: {
      ...own,
      ...plain(given),
      engine,
      runtime: kinds.runtime ?? null,
      loop: kinds.loop ?? null,
      manifest,
      skill_files:
        given.skill_files?.map(({ path, content }) => ({ path, content, size: Buffer.byteLength(content) })) ??
        own.skill_files,
      ...schemas.more,
    },
  };
  return { spec, type, warnings: [...warnings, ...remarks(spec, type)] };
}

function said<T>(given: T | null | undefined, before: T | null): T | null {
  return given === undefined ? before : given;
}

function turnsOf(loop: Kinds['loop']): number | undefined {
  const turns = loop?.max_turns;
  return typeof turns === 'number' && Number.isInteger(turns) ? Math.min(Math.max(turns, 1), 50) : undefined;
}

const plainFields = [
  'run_mode',
  'default_endpoint',
  'accepts',
  'idempotent',
  'on_interrupted',
  'environment',
  'supported_providers',
  'default_models',
  'model_tasks',
  'required_secrets',
  'optional_secrets',
  'default_skills',
  'skills_locked',
  'url',
  'source_url',
  'pip_package',
  'run_command',
  'sdk_compatible',
] as const satisfies (keyof PackageRequest & keyof PackageSpec)[];

/** What is taken as it is given. */
function plain(given: PackageRequest): Partial<PackageSpec> {
  const named = plainFields.filter((name) => given[name] !== undefined).map((name) => [name, given[name]]);
  return Object.fromEntries(named) as Partial<PackageSpec>;
}

const schemaNames = ['input_schema', 'output_schema'] as const;

/** What is checked of the schemas, and what they were where that is not all. */
function schemasOf(given: PackageRequest, was: AgentSpec, own: PackageSpec) {
  const checked = { input_schema: was.input_schema, output_schema: was.output_schema };
  const whole = { ...own.given_schemas };
  let unchecked = own.unchecked ?? [];
  for (const name of schemaNames) {
    const schema = given[name];
    if (schema === undefined) continue;
    unchecked = unchecked.filter((place) => !place.startsWith(name));
    delete whole[name];
    const taken = schema === null ? { schema: null, unchecked: [] } : checkableSchema(schema);
    checked[name] = taken.schema;
    unchecked = [...unchecked, ...taken.unchecked.map((place) => (place === '' ? name : `${name}/${place}`))];
    // Annotations are not checked, and shown all the same.
    if (schema !== null && JSON.stringify(schema) !== JSON.stringify(taken.schema)) whole[name] = schema;
  }
  return { ...checked, more: { given_schemas: whole, unchecked } };
}

const manifestFields = [
  'manifest_version',
  'dependencies',
  'max_hops',
  'timeout_ms',
  'per_call_downstream_cap',
  'downstream_spend_cap',
  'orchestration_mode',
  'hosts',
] as const satisfies (keyof PackageManifest)[];

/** Members that are not known are left out, and named. */
function manifestOf({ manifest: given }: PackageRequest, { manifest: before }: PackageSpec) {
  if (given === undefined) return { manifest: before, warnings: [] };
  if (given === null) return { manifest: null, warnings: [] };
  const known = manifestFields.filter((name) => given[name] !== undefined).map((name) => [name, given[name]]);
  const manifest: PackageManifest = Object.fromEntries(known);
  const dependencies = manifest.dependencies?.map(({ id, version }) => ({ id, version }));
  const unknown = Object.keys(given)
    .filter((name) => !manifestFields.includes(name as 'hosts'))
    .slice(0, 20);
  return {
    manifest: { ...manifest, ...(dependencies && { dependencies }) },
    warnings: unknown.map((name) => `manifest.${name.slice(0, 100)} is not known here, and was left out.`),
  };
}

/** What works in another way than its author may think. */
function remarks(spec: AgentSpec, type: PackageType): string[] {
  const { engine, unchecked = [], url, run_mode, loop, skill_files } = packageOf(spec);
  const { required_secrets, optional_secrets, environment, pip_package } = packageOf(spec);
  const found = unchecked.map((place) => `VALIDATION_SKIPPED: ${place} is kept and shown, but not checked.`);
  if (type === 'skill' && !spec.system_prompt && skill_files.length === 0)
    found.push('The skill has neither a prompt nor files.');
  if (type !== 'skill' && engine !== 'code_runtime' && !spec.system_prompt) found.push('The agent has no prompt.');
  if (url) found.push('url is kept; agents that run elsewhere are not called yet.');
  if (run_mode === 'always_on') found.push('run_mode always_on is kept; such agents are not kept running yet.');
  if (required_secrets.length > 0 || optional_secrets.length > 0)
    found.push('required_secrets and optional_secrets are kept; there are no secrets yet that code would be given.');
  if (environment) found.push('environment is kept; code is not given it yet.');
  if (pip_package) found.push('pip_package is kept; nothing is installed: packages come in the bundle.');
  if (loop?.custom_tools !== undefined) found.push('loop.custom_tools are kept, and not offered to the model.');
  return found;
}
