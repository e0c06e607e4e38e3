import { z } from 'zod';
import { findNextVersion } from '../../../../db/agent-lists.ts';
import { listOwnVersions } from '../../../../db/published-agents.ts';
import { getOrganisation } from '../../../accounts/organisation.ts';
import { changePackage, getOwnVersion, publishAgent, tryPublishing } from '../../../agents/publish.ts';
import { checkDeletion, withdrawVersion } from '../../../agents/withdraw.ts';
import { updatePackageSchema } from '../../../agents/package-schema.ts';
import { body, createRouter, json, links } from '../../../http/openapi.ts';
import { faults } from '../../../http/faults.ts';
import { InvalidInputError } from '../../../errors.ts';
import { listedAgent, ownAgent } from '../agent-view.ts';
import { toFailure } from '../envelope.ts';
import { operation } from '../operation.ts';
import {
  changedSchema,
  createPackageSchema,
  deleteCheckSchema,
  deletedSchema,
  deleteQuery,
  listedAgentSchema,
  ownAgentSchema,
  ownListQuery,
  previewQuery,
  previewSchema,
  publishedSchema,
  unvalidatedSchema,
  validationSchema,
  versionId,
} from '../schemas/agent.ts';
import { requireWorkspace } from '../workspace.ts';

/** Agents, each version of them by its own id. */
export const agentsRouter = createRouter();

const tags = ['orchagent agents'];
const params = z.object({ version_id: versionId });

function versionLinks(version_id: string) {
  return links(
    { version_id },
    'getPublishedAgent',
    'updatePublishedAgent',
    'checkAgentDeletion',
    'deletePublishedAgent',
  );
}

const list = operation({
  method: 'get',
  path: '/',
  operationId: 'listPublishedAgents',
  scope: 'agents:read',
  tags,
  summary: 'List your agents: one entry for each version, newest first',
  description:
    'Agents of `/api/v1/agents` and skill packages are among them. Without prompts, loops and the files of skills, which may be long.',
  request: { query: ownListQuery },
  responses: { 200: json(z.array(listedAgentSchema), 'The versions, as a bare list') },
  links: versionLinks('/0/id'),
  problems: [404],
});

agentsRouter.openapi(list, async (c) => {
  const { workspace_id, ...page } = c.req.valid('query');
  const { deps, principal } = c.var;
  if (workspace_id) requireWorkspace(principal, workspace_id);
  return c.json((await listOwnVersions(deps.db, principal.account_id, page)).map(listedAgent), 200);
});

const create = operation({
  method: 'post',
  path: '/',
  operationId: 'publishAgent',
  scope: 'agents:write',
  tags,
  summary: 'Register a new agent, or the next version of one',
  description:
    'An agent is known by its name: the first time it is `v1`, and each time after that the next version. It is an agent of `/api/v1/agents` ' +
    'too, which shows its newest version. Code is sent afterwards, with `POST /agents/{version_id}/upload`. An agent that has code, or ' +
    'depends on others, gets a `service_key` at first, where the key that asks may make keys.',
  request: { body: body(createPackageSchema) },
  responses: { 200: json(publishedSchema, 'The version') },
  links: versionLinks('/agent/id'),
  problems: [404],
});

agentsRouter.openapi(create, async (c) => {
  const { deps, principal, idempotency } = c.var;
  const most = deps.config.MAX_AGENTS_PER_ACCOUNT;
  const published = await publishAgent(deps, principal, c.req.valid('json'), most, idempotency);
  const { version, service_key, warnings } = published;
  return c.json({ agent: ownAgent(version), ...(service_key && { service_key }), warnings }, 200);
});

const validate = operation({
  method: 'post',
  path: '/validate',
  operationId: 'validateAgent',
  scope: 'agents:read',
  tags,
  summary: 'Whether an agent could be registered; nothing is kept',
  description: 'It takes what `POST /agents` takes, and says all that is wrong with it.',
  request: { body: body(unvalidatedSchema) },
  responses: { 200: json(validationSchema, 'What is wrong with it, and what is to be known') },
  problems: [404],
});

agentsRouter.openapi(validate, async (c) => {
  const parsed = createPackageSchema.safeParse(c.req.valid('json'));
  try {
    if (!parsed.success) throw new InvalidInputError(faults(parsed.error));
    const warnings = await tryPublishing(c.var.deps, c.var.principal, parsed.data);
    return c.json({ valid: true, errors: [], warnings }, 200);
  } catch (error) {
    if (!(error instanceof InvalidInputError)) throw error;
    const errors = error.faults.map((fault) => toFailure(new InvalidInputError([fault])).message);
    return c.json({ valid: false, errors, warnings: [] }, 200);
  }
});

const preview = operation({
  method: 'get',
  path: '/preview',
  operationId: 'previewAgent',
  scope: 'agents:read',
  tags,
  summary: 'Which version an agent of this name would be',
  description: 'Nothing is reserved.',
  request: { query: previewQuery },
  responses: { 200: json(previewSchema, 'The versions that there are, and the next') },
  problems: [404],
});

agentsRouter.openapi(preview, async (c) => {
  const { name } = c.req.valid('query');
  const { deps, principal } = c.var;
  const { numbers, next } = await findNextVersion(deps.db, principal.account_id, name);
  const { slug: org_slug } = await getOrganisation(deps, principal);
  return c.json(
    { name, existing_versions: numbers.map((number) => `v${number}`), next_version: `v${next}`, org_slug },
    200,
  );
});

const get = operation({
  method: 'get',
  path: '/{version_id}',
  operationId: 'getPublishedAgent',
  scope: 'agents:read',
  tags,
  summary: 'Get a version of an agent, with all of it',
  description: 'Of your own account: what others offer is at `/public/agents`.',
  request: { params },
  responses: { 200: json(ownAgentSchema, 'The version, bare') },
  problems: [404],
});

agentsRouter.openapi(get, async (c) => {
  return c.json(ownAgent(await getOwnVersion(c.var.deps, c.var.principal, c.req.valid('param').version_id)), 200);
});

const update = operation({
  method: 'patch',
  path: '/{version_id}',
  operationId: 'updatePublishedAgent',
  scope: 'agents:write',
  tags,
  summary: 'Update an agent',
  description:
    'What a version does never changes: where that is given, the answer is a new version, the newest, whose `id` is another. How it is ' +
    'offered (`is_public`, `callable`, `allow_local_download`, `price_cents`, `tags`, `deprecated`) is changed in place, and of a new ' +
    'version it is as before. A deprecated version is called for sixty days more. What is not given stays; null takes back.',
  request: { params, body: body(updatePackageSchema) },
  responses: { 200: json(changedSchema, 'The version as it is now, or the new one') },
  links: versionLinks('/id'),
  problems: [404, 409],
});

agentsRouter.openapi(update, async (c) => {
  const { version_id } = c.req.valid('param');
  const { deps, principal } = c.var;
  const { version, warnings } = await changePackage(deps, principal, version_id, c.req.valid('json'));
  return c.json({ ...ownAgent(version), warnings }, 200);
});

const check = operation({
  method: 'get',
  path: '/{version_id}/delete-check',
  operationId: 'checkAgentDeletion',
  scope: 'agents:read',
  tags,
  summary: 'Whether deleting a version needs the name of its agent',
  description: 'It does where the version is public, or another account has called it.',
  request: { params },
  responses: { 200: json(deleteCheckSchema, 'What is asked for') },
  problems: [404],
});

agentsRouter.openapi(check, async (c) => {
  const { deps, principal } = c.var;
  const version = await getOwnVersion(deps, principal, c.req.valid('param').version_id);
  const { callers, requires_confirmation } = await checkDeletion(deps, version);
  const { version_id: agent_id, name: agent_name } = version;
  return c.json({ agent_id, agent_name, requires_confirmation, stars_count: callers, fork_count: 0 }, 200);
});

const remove = operation({
  method: 'delete',
  path: '/{version_id}',
  operationId: 'deletePublishedAgent',
  scope: 'agents:write',
  tags,
  summary: 'Delete a version, and its agent with the last of them',
  description: 'Runs of it go on: they have all of it that they need. No other version gets its number.',
  request: { params, query: deleteQuery },
  responses: { 200: json(deletedSchema, 'It is not found any more') },
  problems: [404],
});

agentsRouter.openapi(remove, async (c) => {
  const { deps, principal } = c.var;
  const version = await getOwnVersion(deps, principal, c.req.valid('param').version_id);
  await withdrawVersion(deps, principal, version, c.req.valid('query').confirmation_name);
  return c.json({ deleted: true as const, agent_id: version.version_id, agent_name: version.name }, 200);
});
