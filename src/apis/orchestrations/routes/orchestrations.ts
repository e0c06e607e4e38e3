import { z } from 'zod';
import { listOrchestrations } from '../../../../db/orchestrations.ts';
import { faults } from '../../../http/faults.ts';
import { body, createRouter, json, route } from '../../../http/openapi.ts';
import { pointer } from '../../../http/pointer.ts';
import { definitionSchema } from '../../../orchestrations/definition-schema.ts';
import { shippedOrchestrations, toDefinition } from '../../../orchestrations/definitions.ts';
import { getOrchestration } from '../../../orchestrations/find.ts';
import {
  createOrchestration,
  faultsOf,
  removeOrchestration,
  replaceOrchestration,
} from '../../../orchestrations/registry.ts';
import { orchestrationLinks } from '../links.ts';
import {
  orchestrationDeletedSchema,
  orchestrationListSchema,
  orchestrationParams,
  orchestrationSchema,
  validationSchema,
} from '../schemas/orchestration.ts';
import { toWire } from '../view.ts';

export const orchestrationsRouter = createRouter();

const tags = ['Orchestrations'];
const params = orchestrationParams;

const list = route({
  method: 'get',
  path: '/',
  operationId: 'listOrchestrations',
  scope: 'orchestrations:read',
  tags,
  summary: 'All orchestrations: those that ship with Orchflow, then your own',
  description: 'Each with how many steps it has. The shipped ones can be run and copied, and not changed.',
  responses: { 200: json(orchestrationListSchema, 'The orchestrations; `steps` is how many each has') },
  links: orchestrationLinks('/0/id'),
});

orchestrationsRouter.openapi(list, async (c) => {
  const own = await listOrchestrations(c.var.deps.db, c.var.principal.account_id);
  const shipped = shippedOrchestrations.map(({ id, definition: { name, description, steps } }) => ({
    id,
    name,
    description,
    steps: steps.length,
  }));
  return c.json([...shipped, ...own], 200);
});

const create = route({
  method: 'post',
  path: '/',
  operationId: 'createOrchestration',
  scope: 'orchestrations:write',
  tags,
  summary: 'Create an orchestration, checked whole',
  description:
    'All that is wrong with the definition is told at once, by JSON Pointers into it: steps that lead nowhere, code that ' +
    'does not parse. Registered agents that it names must be there.',
  request: { body: body(definitionSchema) },
  responses: { 201: json(orchestrationSchema, 'The orchestration') },
  links: orchestrationLinks(),
  problems: [404],
});

orchestrationsRouter.openapi(create, async (c) => {
  const { deps, principal, idempotency } = c.var;
  const most = deps.config.MAX_ORCHESTRATIONS_PER_ACCOUNT;
  const created = await createOrchestration(deps, principal, toDefinition(c.req.valid('json')), most, idempotency);
  c.header('Location', `/api/v1/orchestrations/${created.id}`);
  return c.json(toWire(created), 201);
});

const validate = route({
  method: 'post',
  path: '/validate',
  operationId: 'validateOrchestration',
  scope: 'orchestrations:read',
  tags,
  summary: 'Check a definition without saving it',
  description: 'The same checks as on saving, but for the tools of the account.',
  request: { body: body(z.unknown().meta({ description: 'An OrchestrationDefinition, or what may be none.' })) },
  responses: { 200: json(validationSchema, 'Whether it can be saved, and all that is wrong with it') },
});

orchestrationsRouter.openapi(validate, async (c) => {
  const parsed = definitionSchema.safeParse(c.req.valid('json'));
  const found = parsed.success
    ? await faultsOf(c.var.deps, c.var.principal, toDefinition(parsed.data).definition)
    : faults(parsed.error);
  const errors = found.map(({ path, detail }) => ({ pointer: pointer(path), detail }));
  return c.json({ valid: errors.length === 0, errors }, 200);
});

const get = route({
  method: 'get',
  path: '/{orch_id}',
  operationId: 'getOrchestration',
  scope: 'orchestrations:read',
  tags,
  summary: 'An orchestration with all its steps',
  description:
    'The definition as it was saved, with `edges` between its steps. It can be sent back with PUT, or as a new ' +
    'one.',
  request: { params },
  responses: { 200: json(orchestrationSchema, 'The orchestration') },
  links: orchestrationLinks(),
  problems: [404],
});

orchestrationsRouter.openapi(get, async (c) => {
  const { orch_id } = c.req.valid('param');
  return c.json(toWire(await getOrchestration(c.var.deps.db, c.var.principal, orch_id)), 200);
});

const replace = route({
  method: 'put',
  path: '/{orch_id}',
  operationId: 'replaceOrchestration',
  scope: 'orchestrations:write',
  tags,
  summary: 'Replace an orchestration, checked whole; runs under way keep the one that they began with',
  description: 'The whole definition is replaced: what is not given is as if it had never been.',
  request: { params, body: body(definitionSchema) },
  responses: { 200: json(orchestrationSchema, 'The orchestration') },
  links: orchestrationLinks(),
  problems: [404, 409],
});

orchestrationsRouter.openapi(replace, async (c) => {
  const { orch_id } = c.req.valid('param');
  const { deps, principal } = c.var;
  return c.json(toWire(await replaceOrchestration(deps, principal, orch_id, toDefinition(c.req.valid('json')))), 200);
});

const remove = route({
  method: 'delete',
  path: '/{orch_id}',
  operationId: 'deleteOrchestration',
  scope: 'orchestrations:write',
  tags,
  summary: 'Delete an orchestration; runs under way go on',
  description: 'Its runs can still be read, answered and tried again.',
  request: { params },
  responses: { 200: json(orchestrationDeletedSchema, 'It is gone') },
  problems: [404, 409],
});

orchestrationsRouter.openapi(remove, async (c) => {
  const { orch_id: id } = c.req.valid('param');
  await removeOrchestration(c.var.deps, c.var.principal, id);
  return c.json({ id, status: 'deleted' as const, message: 'Orchestration deleted.' }, 200);
});
