import type { z } from 'zod';
import { listOrchestrationPage, type StoredOrchestration } from '../../../../db/orchestrations.ts';
import { pageByTime, pageOf } from '../../../http/cursor.ts';
import { ifMatchHeader, requireMatch, setETag, versionsOfIfMatch } from '../../../http/entity-tags.ts';
import { pickFields } from '../../../http/fieldset.ts';
import { body, createRouter, json, links, optionalBody, route } from '../../../http/openapi.ts';
import { toDefinition } from '../../../orchestrations/definitions.ts';
import {
  changeOrchestration,
  createOrchestration,
  getOwnOrchestration,
  removeOrchestration,
} from '../../../orchestrations/registry.ts';
import {
  createWorkflowSchema,
  updateWorkflowSchema,
  workflowDeletedSchema,
  workflowListQuery,
  workflowListSchema,
  workflowParams as params,
  workflowSchema,
} from '../schemas/workflow.ts';

/** The house's orchestrations, in OrchStack's words. */
export const workflowsRouter = createRouter();

const tags = ['OrchStack workflows'];

function workflowLinks(workflow_id = '/workflow_id') {
  return links({ workflow_id }, 'getWorkflow', 'updateWorkflow', 'deleteWorkflow', 'executeWorkflow');
}

function toWire({ id, definition, created_at, updated_at }: StoredOrchestration): z.infer<typeof workflowSchema> {
  return { workflow_id: id, ...definition, created_at, updated_at };
}

const create = route({
  method: 'post',
  path: '/',
  operationId: 'createWorkflow',
  scope: 'orchestrations:write',
  tags,
  summary: 'Create a workflow, checked whole',
  description:
    'The steps are those of `POST /api/v1/orchestrations`, where each workflow is found under its id too. Steps of the types `agent` and ' +
    '`llm` name registered agents in `agent`, by `agent_id` and perhaps `version`, or by `name`. All that is wrong is told at once.',
  request: { body: body(createWorkflowSchema) },
  responses: { 201: json(workflowSchema, 'The workflow') },
  links: workflowLinks(),
  problems: [404],
});

workflowsRouter.openapi(create, async (c) => {
  const { deps, principal, idempotency } = c.var;
  const { workflow_id: id, ...given } = c.req.valid('json');
  const most = deps.config.MAX_ORCHESTRATIONS_PER_ACCOUNT;
  const created = await createOrchestration(deps, principal, { ...toDefinition(given), id }, most, idempotency);
  setETag(c, created.hash);
  c.header('Location', `/v1/workflows/${created.id}`);
  return c.json(toWire(created), 201);
});

const list = route({
  method: 'get',
  path: '/',
  operationId: 'listWorkflows',
  scope: 'orchestrations:read',
  tags,
  summary: 'The workflows of this account, newest first unless `sort` says otherwise',
  description:
    'Each with how many steps it has. Pass `next_cursor` as `cursor`, with the same filters and `sort`, for the page after this one.',
  request: { query: workflowListQuery },
  responses: { 200: json(workflowListSchema, 'A page of workflows') },
  links: { ...workflowLinks('/workflows/0/workflow_id'), ...links({ cursor: '/next_cursor' }, 'listWorkflows') },
});

workflowsRouter.openapi(list, async (c) => {
  const { limit, cursor, sort, fields, ...filter } = c.req.valid('query');
  const by = sort.endsWith('updated_at') ? ('updated_at' as const) : ('created_at' as const);
  const asked = { by, ...pageByTime({ limit, cursor, sort }) };
  const found = await listOrchestrationPage(c.var.deps.db, c.var.principal.account_id, filter, asked);
  const { items, ...page } = pageOf(
    found,
    limit,
    ({ id }) => id,
    (item) => item[by],
  );
  const workflows = items.map(({ id, ...item }) => pickFields({ workflow_id: id, ...item }, 'workflow_id', fields));
  return c.json({ workflows, ...page }, 200);
});

const get = route({
  method: 'get',
  path: '/{workflow_id}',
  operationId: 'getWorkflow',
  scope: 'orchestrations:read',
  tags,
  summary: 'A workflow with all its steps',
  description: 'As it was created or changed; fields that were not given are as they are then.',
  request: { params },
  responses: { 200: json(workflowSchema, 'The workflow') },
  links: workflowLinks(),
  problems: [404],
});

workflowsRouter.openapi(get, async (c) => {
  const { workflow_id } = c.req.valid('param');
  const found = await getOwnOrchestration(c.var.deps, c.var.principal, workflow_id);
  setETag(c, found.hash);
  return c.json(toWire(found), 200);
});

const update = route({
  method: 'patch',
  path: '/{workflow_id}',
  operationId: 'updateWorkflow',
  scope: 'orchestrations:write',
  tags,
  summary: 'Change a workflow; what is not given stays',
  description:
    '`steps` and `state_schema` are replaced as a whole. What comes of it is checked whole. Runs under way keep the workflow that they ' +
    'began with.',
  request: { params, headers: ifMatchHeader, body: optionalBody(updateWorkflowSchema) },
  responses: { 200: json(workflowSchema, 'The workflow as it is now') },
  links: workflowLinks(),
  problems: [404, 412],
});

workflowsRouter.openapi(update, async (c) => {
  const { workflow_id } = c.req.valid('param');
  const { deps, principal } = c.var;
  const seen = versionsOfIfMatch(c);
  const check = ({ hash }: StoredOrchestration) => requireMatch(seen, hash, 'workflow');
  const changed = await changeOrchestration(deps, principal, workflow_id, c.req.valid('json'), check);
  setETag(c, changed.hash);
  return c.json(toWire(changed), 200);
});

const remove = route({
  method: 'delete',
  path: '/{workflow_id}',
  operationId: 'deleteWorkflow',
  scope: 'orchestrations:write',
  tags,
  summary: 'Delete a workflow; runs under way go on',
  description: 'Its runs can still be read and answered.',
  request: { params },
  responses: { 200: json(workflowDeletedSchema, 'It is gone') },
  problems: [404],
});

workflowsRouter.openapi(remove, async (c) => {
  const { workflow_id } = c.req.valid('param');
  await removeOrchestration(c.var.deps, c.var.principal, workflow_id);
  return c.json({ workflow_id, status: 'deleted' as const, message: 'Workflow deleted.' }, 200);
});
