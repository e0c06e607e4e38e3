import { z } from 'zod';
import { getOffer } from '../../../agents/offers.ts';
import { forkAgent, getOwnVersion, getSeenVersion } from '../../../agents/publish.ts';
import { dependencyTree } from '../../../agents/tree.ts';
import { apiKeyPrefix } from '../../../crypto.ts';
import { createRouter, json, links, optionalBody } from '../../../http/openapi.ts';
import { metadataOf, ownAgent, refuseClosed } from '../agent-view.ts';
import { OrchagentError } from '../envelope.ts';
import { failing, operation } from '../operation.ts';
import { forkedSchema, forkSchema, offerParams, versionId } from '../schemas/agent.ts';
import { installedSchema, transferQuery, transferSchema, treeSchema } from '../schemas/tree.ts';
import { requireWorkspace } from '../workspace.ts';

/** Agents that are taken over from others, and what they depend on. */
export const agentCopiesRouter = createRouter();

const tags = ['orchagent agents'];
const params = z.object({ version_id: versionId });

const fork = operation({
  method: 'post',
  path: '/{version_id}/fork',
  operationId: 'forkAgent',
  scope: 'agents:write',
  tags,
  summary: 'Take a version as the first one of an agent of your own',
  description:
    'One of your own, or a public one that may be downloaded. It is private, has its code, and the name of the other unless `new_name` is ' +
    'given. Providers and tools of its author are not taken over. Its code counts in what the files of your account may have.',
  request: { params, body: optionalBody(forkSchema) },
  responses: { 200: json(forkedSchema, 'The first version of the new agent') },
  links: links({ version_id: '/agent/id' }, 'getPublishedAgent'),
  problems: [404],
});

agentCopiesRouter.openapi(fork, async (c) => {
  const { deps, principal, idempotency } = c.var;
  const { workspace_id, new_name } = forkSchema.parse(c.req.valid('json') ?? {});
  if (workspace_id) requireWorkspace(principal, workspace_id);
  const source = await getSeenVersion(deps, principal, c.req.valid('param').version_id);
  if (source.account_id !== principal.account_id) refuseClosed(source);
  const most = deps.config.MAX_AGENTS_PER_ACCOUNT;
  const name = new_name ?? source.name;
  const { version, service_key, warnings } = await forkAgent(deps, principal, source, name, most, idempotency);
  const keys = service_key && {
    service_key,
    service_key_prefix: apiKeyPrefix(service_key),
  };
  return c.json({ agent: ownAgent(version), ...keys, warnings }, 200);
});

const oneWorkspace =
  'An account is one workspace here, and its agents stay in it. Another account can fork those that may be downloaded.';

const transferCheck = operation({
  method: 'get',
  path: '/{version_id}/transfer-check',
  operationId: 'checkAgentTransfer',
  scope: 'agents:read',
  tags,
  summary: 'Refused: an account is one workspace',
  description: oneWorkspace,
  request: { params, query: transferQuery },
  responses: { 422: failing(422) },
  problems: [404],
});

agentCopiesRouter.openapi(transferCheck, async (c) => {
  await getOwnVersion(c.var.deps, c.var.principal, c.req.valid('param').version_id);
  throw new OrchagentError('UNPROCESSABLE', oneWorkspace);
});

const transfer = operation({
  method: 'post',
  path: '/{version_id}/transfer',
  operationId: 'transferAgent',
  scope: 'agents:write',
  tags,
  summary: 'Refused: an account is one workspace',
  description: oneWorkspace,
  request: { params, body: optionalBody(transferSchema) },
  responses: { 422: failing(422) },
  problems: [404],
});

agentCopiesRouter.openapi(transfer, async (c) => {
  await getOwnVersion(c.var.deps, c.var.principal, c.req.valid('param').version_id);
  throw new OrchagentError('UNPROCESSABLE', oneWorkspace);
});

const tree = operation({
  method: 'get',
  path: '/{org}/{agent}/{version}/tree',
  operationId: 'getAgentTree',
  scope: 'agents:read',
  tags,
  summary: 'What an agent depends on, and what that depends on',
  description:
    'As their manifests say it, five levels deep and a hundred agents at most. `status` says what you do not see, or see already above.',
  request: { params: offerParams },
  responses: { 200: json(treeSchema, 'The tree') },
  problems: [404],
});

agentCopiesRouter.openapi(tree, async (c) => {
  const { deps, principal } = c.var;
  return c.json(await dependencyTree(deps, principal, c.req.valid('param')), 200);
});

const install = operation({
  method: 'post',
  path: '/{org}/{agent}/{version}/install',
  operationId: 'installAgent',
  scope: 'agents:read',
  tags,
  summary: 'Says that an agent was installed somewhere',
  description: 'Nothing is counted. The answer says which version it was.',
  request: { params: offerParams },
  responses: { 200: json(installedSchema, 'The version') },
  problems: [404],
});

agentCopiesRouter.openapi(install, async (c) => {
  const { deps, principal } = c.var;
  const { version } = await getOffer(deps.db, principal.account_id, c.req.valid('param'));
  const { name, org_slug, version: number } = metadataOf(version);
  return c.json({ installed: true as const, agent: `${org_slug}/${name}`, version: number }, 200);
});
