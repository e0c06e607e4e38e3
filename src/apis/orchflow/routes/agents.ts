import { z } from 'zod';
import { listAgents } from '../../../../db/agent-lists.ts';
import { listAgentVersions } from '../../../../db/agents.ts';
import { changeAgent, createAgent, getAgent, removeAgent, type AgentRequest } from '../../../agents/registry.ts';
import { notFound } from '../../../errors.ts';
import { id } from '../../../fields.ts';
import { body, createRouter, json, links, optionalBody, route } from '../../../http/openapi.ts';
import {
  agentDeletedSchema,
  agentSchema,
  agentVersion,
  createAgentSchema,
  toWire,
  updateAgentSchema,
} from '../../../agents/agent-schema.ts';
import { agentListSchema, agentVersionListSchema } from '../schemas/agent.ts';

export const agentsRouter = createRouter();

const params = z.object({ agent_id: id });
const tags = ['Agents'];

function agentLinks(agent_id = '/agent_id') {
  return links({ agent_id }, 'getAgent', 'updateAgent', 'listAgentVersions', 'deleteAgent');
}

const create = route({
  method: 'post',
  path: '/',
  operationId: 'createAgent',
  scope: 'agents:write',
  tags,
  summary: 'Register an agent that lasts',
  description:
    'Runs name it in their `agents`. Each change of it makes a version: this is `v1`. No two of an account have one name, ' +
    'whatever the case.',
  request: { body: body(createAgentSchema) },
  responses: { 201: json(agentSchema, 'The agent') },
  links: agentLinks(),
  problems: [402, 404],
});

agentsRouter.openapi(create, async (c) => {
  const { deps, principal, idempotency } = c.var;
  const request = c.req.valid('json') as AgentRequest & { name: string };
  const created = await createAgent(deps, principal, request, deps.config.MAX_AGENTS_PER_ACCOUNT, idempotency);
  c.header('Location', `/api/v1/agents/${created.agent_id}`);
  return c.json(toWire(created), 201);
});

const list = route({
  method: 'get',
  path: '/',
  operationId: 'listAgents',
  scope: 'agents:read',
  tags,
  summary: 'The agents of this account, newest first',
  description: 'Each as its newest version says, without prompt and schemas.',
  responses: { 200: json(agentListSchema, 'The agents') },
  links: agentLinks('/agents/0/agent_id'),
});

agentsRouter.openapi(list, async (c) => {
  return c.json({ agents: await listAgents(c.var.deps.db, c.var.principal.account_id) }, 200);
});

const get = route({
  method: 'get',
  path: '/{agent_id}',
  operationId: 'getAgent',
  scope: 'agents:read',
  tags,
  summary: 'An agent, as its newest version says',
  description: 'Earlier ones are at `GET /agents/{agent_id}/versions/{version}`.',
  request: { params },
  responses: { 200: json(agentSchema, 'The agent') },
  links: agentLinks(),
  problems: [404],
});

agentsRouter.openapi(get, async (c) => {
  const { agent_id } = c.req.valid('param');
  return c.json(toWire(await getAgent(c.var.deps, c.var.principal, agent_id)), 200);
});

const update = route({
  method: 'patch',
  path: '/{agent_id}',
  operationId: 'updateAgent',
  scope: 'agents:write',
  tags,
  summary: 'Change an agent, which makes its next version; what is not given stays',
  description:
    'With null a field is taken back, where it can be null. Where nothing is changed, there is no new version. Runs that ' +
    'have been accepted keep what they froze.',
  request: { params, body: optionalBody(updateAgentSchema) },
  responses: { 200: json(agentSchema, 'The agent as it is now') },
  links: agentLinks(),
  problems: [404, 409],
});

agentsRouter.openapi(update, async (c) => {
  const { agent_id } = c.req.valid('param');
  const request = c.req.valid('json') as AgentRequest;
  return c.json(toWire(await changeAgent(c.var.deps, c.var.principal, agent_id, request)), 200);
});

const remove = route({
  method: 'delete',
  path: '/{agent_id}',
  operationId: 'deleteAgent',
  scope: 'agents:write',
  tags,
  summary: 'Delete an agent, with all of its versions',
  description:
    'Its name is free again. Runs that use it go on, also those that wait: they have all of it that they need.',
  request: { params },
  responses: { 200: json(agentDeletedSchema, 'It is not found any more') },
  problems: [404],
});

agentsRouter.openapi(remove, async (c) => {
  const { agent_id } = c.req.valid('param');
  await removeAgent(c.var.deps, c.var.principal, agent_id);
  return c.json({ agent_id, status: 'deleted' as const, message: 'Agent deleted.' }, 200);
});

const listVersions = route({
  method: 'get',
  path: '/{agent_id}/versions',
  operationId: 'listAgentVersions',
  scope: 'agents:read',
  tags,
  summary: 'The versions of an agent, newest first',
  description: 'A version is never changed.',
  request: { params },
  responses: { 200: json(agentVersionListSchema, 'The versions') },
  links: links({ agent_id: '/agent_id', version: '/versions/0/version' }, 'getAgentVersion'),
  problems: [404],
});

agentsRouter.openapi(listVersions, async (c) => {
  const { agent_id } = c.req.valid('param');
  const versions = await listAgentVersions(c.var.deps.db, c.var.principal.account_id, agent_id);
  if (!versions) throw notFound('Agent');
  return c.json({ agent_id, versions }, 200);
});

const getVersion = route({
  method: 'get',
  path: '/{agent_id}/versions/{version}',
  operationId: 'getAgentVersion',
  scope: 'agents:read',
  tags,
  summary: 'An agent, as one of its versions says',
  description: '`latest` is the newest.',
  request: { params: params.extend({ version: agentVersion }) },
  responses: { 200: json(agentSchema, 'The agent, as it was') },
  links: agentLinks(),
  problems: [404],
});

agentsRouter.openapi(getVersion, async (c) => {
  const { agent_id, version } = c.req.valid('param');
  return c.json(toWire(await getAgent(c.var.deps, c.var.principal, agent_id, version)), 200);
});
