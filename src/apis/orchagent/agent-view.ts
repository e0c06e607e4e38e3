import type { z } from 'zod';
import type { OfferedVersion } from '../../../db/published-agents.ts';
import { sunsetOf } from '../../agents/offers.ts';
import { packageOf } from '../../agents/packages.ts';
import { uuidOf } from '../../ids.ts';
import { OrchagentError } from './envelope.ts';
import type { listedAgentSchema, ownAgentSchema, publicAgentSchema } from './schemas/agent.ts';

/** Versions of agents as clients read them, and what of them whom is shown. */

/** What anybody may know of a public one. */
export function metadataOf(version: OfferedVersion) {
  const { version_id: id, org_slug, name, number, type, spec, created_at } = version;
  const { is_public, callable, allow_local_download, price_cents, tags, deprecated_at } = version;
  const said = packageOf(spec);
  const { run_mode, engine, default_endpoint, accepts, supported_providers, default_models } = said;
  const { required_secrets, optional_secrets, default_skills, skills_locked, sdk_compatible, given_schemas } = said;
  return {
    id,
    org_slug,
    name,
    version: `v${number}`,
    type,
    description: spec.description,
    run_mode,
    execution_engine: engine,
    callable,
    default_endpoint,
    input_schema: given_schemas?.input_schema ?? spec.input_schema,
    output_schema: given_schemas?.output_schema ?? spec.output_schema,
    accepts,
    tags,
    supported_providers,
    default_models,
    timeout_seconds: spec.timeout_seconds,
    required_secrets,
    optional_secrets,
    default_skills,
    skills_locked,
    sdk_compatible,
    is_public,
    allow_local_download,
    price_cents,
    deprecated: deprecated_at !== null,
    deprecated_at,
    sunset_at: deprecated_at && sunsetOf(deprecated_at).toISOString(),
    created_at,
  };
}

/** What it is made of. */
function makingOf({ spec, entrypoint }: OfferedVersion) {
  const { manifest, skill_files, runtime, loop, environment, model_tasks, source_url, pip_package, run_command } =
    packageOf(spec);
  return {
    prompt: spec.system_prompt,
    manifest: manifest && { ...manifest },
    skill_files,
    runtime,
    loop,
    environment,
    model_tasks,
    source_url,
    pip_package,
    run_command,
    entrypoint,
  };
}

function ownedOf({ agent_id, account_id, spec, version_id, code_hash, bundle_size_bytes }: OfferedVersion) {
  const { url, idempotent, on_interrupted } = packageOf(spec);
  const tools = spec.tools.map(({ name, require_approval }) => ({ name, require_approval }));
  return {
    agent_id,
    org_id: uuidOf(account_id),
    url,
    tools,
    idempotent,
    on_interrupted,
    code_hash,
    bundle_size_bytes,
    code_bundle_url: code_hash && `/agents/${version_id}/bundle`,
  };
}

/** All of it, for its own account. */
export function ownAgent(version: OfferedVersion): z.infer<typeof ownAgentSchema> {
  return { ...metadataOf(version), ...makingOf(version), ...ownedOf(version) };
}

/** The same in a list, without what may be long. */
export function listedAgent(version: OfferedVersion): z.infer<typeof listedAgentSchema> {
  const { prompt: _, skill_files: __, loop: ___, ...making } = makingOf(version);
  return { ...metadataOf(version), ...making, ...ownedOf(version) };
}

/** Whether others may have what it is made of, and run it themselves. */
function isOpen({ allow_local_download, price_cents }: OfferedVersion): boolean {
  return allow_local_download && !price_cents;
}

/** Refuses what it is made of where others may not have it. */
export function refuseClosed({ allow_local_download, price_cents }: OfferedVersion): void {
  if (price_cents) {
    throw new OrchagentError('PAID_AGENT_SERVER_ONLY', 'A paid agent is not downloaded: call it on this server.');
  }
  if (!allow_local_download) {
    throw new OrchagentError(
      'DOWNLOAD_DISABLED',
      'The author of this agent does not let it be downloaded: call it on this server.',
    );
  }
}

/** For anybody: what it is made of only where it may be downloaded. */
export function publicAgent(version: OfferedVersion): z.infer<typeof publicAgentSchema> {
  const making = makingOf(version);
  const hidden = Object.fromEntries(Object.keys(making).map((name) => [name, null])) as Record<
    keyof typeof making,
    null
  >;
  return { ...metadataOf(version), ...(isOpen(version) ? making : hidden) };
}
