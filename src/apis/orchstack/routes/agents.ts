import { z } from 'zod';
import { listAgentPage, type AgentPage } from '../../../../db/agent-lists.ts';
import {
  agentDeletedSchema,
  agentSchema,
  createAgentSchema,
  updateAgentSchema,
  toWire,
} from '../../../agents/agent-schema.ts';
import { changeAgent, createAgent, getAgent, removeAgent, type AgentRequest } from '../../../agents/registry.ts';
import { id } from '../../../fields.ts';
import { pageAsked, pageOf, readTextCursor, readTimeCursor } from '../../../http/cursor.ts';
import { ifMatchHeader, setETag, versionsOfIfMatch } from '../../../http/entity-tags.ts';
import { pickFields } from '../../../http/fieldset.ts';
import { body, createRouter, json, links, optionalBody, route } from '../../../http/openapi.ts';
import { agentLinks } from '../links.ts';
import { agentListQuery, agentListSchema } from '../schemas/agent.ts';

/** The registered agents in OrchStack's clothes: an agent is one thing, shown as its newest version says. */
export const agentsRouter = createRouter();

const params = z.object({ agent_id: id });
const tags = ['OrchStack agents'];

const create = route({
  method: 'post',
  path: '/',
  operationId: 'orchstackCreateAgent',
  scope: 'agents:write',
  tags,
  summary: 'Create a new agent',
  description:
    'No two of an account have one name, whatever the case. It is an agent of `/api/v1/agents` too. `ETag` names its version.',
  request: { body: body(createAgentSchema) },
  responses: { 201: json(agentSchema, 'The agent') },
  links: agentLinks(),
  problems: [402, 404],
});

agentsRouter.openapi(create, async (c) => {
  const { deps, principal, idempotency } = c.var;
  const request = c.req.valid('json') as AgentRequest & { name: string };
  const created = await createAgent(deps, principal, request, deps.config.MAX_AGENTS_PER_ACCOUNT, idempotency);
  c.header('Location', `/v1/agents/${created.agent_id}`);
  setETag(c, created.version_id);
  return c.json(toWire(created), 201);
});

const list = route({
  method: 'get',
  path: '/',
  operationId: 'orchstackListAgents',
  scope: 'agents:read',
  tags,
  summary: 'List all agents, newest first unless `sort` says otherwise',
  description:
    'Each as its newest version says, without prompt and schemas. Pass `next_cursor` as `cursor`, with the same filters and `sort`, ' +
    'for the page after this one.',
  request: { query: agentListQuery },
  responses: { 200: json(agentListSchema, 'A page of agents') },
  links: { ...agentLinks('/agents/0/agent_id'), ...links({ cursor: '/next_cursor' }, 'orchstackListAgents') },
});

agentsRouter.openapi(list, async (c) => {
  const { limit, cursor, sort, fields, ...filter } = c.req.valid('query');
  const by = sort.replace('-', '') as AgentPage['sort'];
  const read = by === 'name' ? readTextCursor : readTimeCursor;
  const page = { sort: by, ...pageAsked({ limit, cursor, sort }, read) };
  const found = await listAgentPage(c.var.deps.db, c.var.principal.account_id, filter, page);
  const { items, ...rest } = pageOf(
    found,
    limit,
    ({ agent_id }) => agent_id,
    (agent) => agent[by],
  );
  return c.json({ agents: items.map((agent) => pickFields(agent, 'agent_id', fields)), ...rest }, 200);
});

const get = route({
  method: 'get',
  path: '/{agent_id}',
  operationId: 'orchstackGetAgent',
  scope: 'agents:read',
  tags,
  summary: 'Get agent details',
  description: 'As its newest version says, which `ETag` names.',
  request: { params },
  responses: { 200: json(agentSchema, 'The agent') },
  links: agentLinks(),
  problems: [404],
});

agentsRouter.openapi(get, async (c) => {
  const agent = await getAgent(c.var.deps, c.var.principal, c.req.valid('param').agent_id);
  setETag(c, agent.version_id);
  return c.json(toWire(agent), 200);
});

const update = route({
  method: 'patch',
  path: '/{agent_id}',
  operationId: 'orchstackUpdateAgent',
  scope: 'agents:write',
  tags,
  summary: 'Update an agent; what is not given stays',
  description:
    'With null a field is taken back, where it can be null. Each change makes a version; where nothing is changed, there is none. Runs ' +
    'that have been accepted keep what they froze. With `If-Match` nothing is changed that was changed meanwhile.',
  request: { params, headers: ifMatchHeader, body: optionalBody(updateAgentSchema) },
  responses: { 200: json(agentSchema, 'The agent as it is now') },
  links: agentLinks(),
  problems: [404, 409, 412],
});

agentsRouter.openapi(update, async (c) => {
  const { agent_id } = c.req.valid('param');
  const { deps, principal } = c.var;
  const request = c.req.valid('json') as AgentRequest;
  const changed = await changeAgent(deps, principal, agent_id, request, versionsOfIfMatch(c));
  setETag(c, changed.version_id);
  return c.json(toWire(changed), 200);
});

const remove = route({
  method: 'delete',
  path: '/{agent_id}',
  operationId: 'orchstackDeleteAgent',
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
