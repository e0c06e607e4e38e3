import type { Organisation } from '../../../../db/accounts.ts';
import { changeOrganisation, getOrganisation } from '../../../accounts/organisation.ts';
import { body, createRouter, json } from '../../../http/openapi.ts';
import { uuidOf } from '../../../ids.ts';
import { OrchagentError } from '../envelope.ts';
import { failing, operation } from '../operation.ts';
import {
  loggedOutSchema,
  meSchema,
  newWorkspaceSchema,
  orgSchema,
  updateOrgSchema,
  workspacesSchema,
} from '../schemas/organisation.ts';

/** Who asks, as orchagent's clients want to know it: an account is an organisation, its only workspace, and its owner. */
export const organisationRouter = createRouter();

const tags = ['orchagent organisation'];

function toWire({ account_id, name, slug, created_at }: Organisation) {
  return { id: uuidOf(account_id), name, slug, created_at };
}

const get = operation({
  method: 'get',
  path: '/org',
  operationId: 'getOrg',
  scope: 'agents:read',
  tags,
  summary: 'The organisation of this key',
  description: 'It is the account. With `X-Workspace-Id` it is asked for as the workspace that it is too.',
  responses: { 200: json(orgSchema, 'The organisation') },
  problems: [404],
});

organisationRouter.openapi(get, async (c) => {
  return c.json(toWire(await getOrganisation(c.var.deps, c.var.principal)), 200);
});

const update = operation({
  method: 'patch',
  path: '/org',
  operationId: 'updateOrg',
  scope: 'agents:write',
  tags,
  summary: 'Change the name or the slug of the organisation',
  description:
    'Who calls its agents does so by the slug: it cannot be changed while any of them is public. The first segments of our own paths ' +
    'are reserved.',
  request: { body: body(updateOrgSchema) },
  responses: { 200: json(orgSchema, 'The organisation as it is now') },
  problems: [404, 409],
});

organisationRouter.openapi(update, async (c) => {
  return c.json(toWire(await changeOrganisation(c.var.deps, c.var.principal, c.req.valid('json'))), 200);
});

const me = operation({
  method: 'get',
  path: '/users/me',
  operationId: 'getMe',
  scope: 'agents:read',
  tags,
  summary: 'The user of this key',
  description: 'The account once more: it has one user here, whose `id` is that of the organisation.',
  responses: { 200: json(meSchema, 'The user') },
  problems: [404],
});

organisationRouter.openapi(me, async (c) => {
  const { account_id, name, email } = await getOrganisation(c.var.deps, c.var.principal);
  return c.json({ user: { id: uuidOf(account_id), display_name: name, email } }, 200);
});

const workspaces = operation({
  method: 'get',
  path: '/workspaces',
  operationId: 'listWorkspaces',
  scope: 'agents:read',
  tags,
  summary: 'The workspaces of this key',
  description: 'There is one, the account. Its `id` goes into `X-Workspace-Id`, which need not be sent.',
  responses: { 200: json(workspacesSchema, 'The one workspace') },
  problems: [404],
});

organisationRouter.openapi(workspaces, async (c) => {
  const { account_id, name, slug } = await getOrganisation(c.var.deps, c.var.principal);
  const own = { id: uuidOf(account_id), name, slug, type: 'personal', role: 'owner', member_count: 1 } as const;
  return c.json({ workspaces: [own] }, 200);
});

const createWorkspace = operation({
  method: 'post',
  path: '/workspaces',
  operationId: 'createWorkspace',
  scope: 'agents:write',
  tags,
  summary: 'Refused: an account is one workspace',
  description: 'Another workspace is another account, of `POST /api/v1/auth/register`.',
  request: { body: body(newWorkspaceSchema) },
  responses: { 422: failing(422) },
  problems: [404],
});

organisationRouter.openapi(createWorkspace, () => {
  throw new OrchagentError(
    'UNPROCESSABLE',
    'An account is one workspace here. Register another account, with POST /api/v1/auth/register, for another workspace.',
  );
});

const logout = operation({
  method: 'post',
  path: '/auth/cli-logout',
  operationId: 'cliLogout',
  isPublic: true,
  tags,
  summary: 'Answered, so that a client can forget its key',
  description:
    'Nothing is done: a key is taken back with `DELETE /api-keys/{key_id}`. Logging in with a browser is not offered: use `orch login --key`.',
  responses: { 200: json(loggedOutSchema, 'The client may forget its key') },
  problems: [429],
});

organisationRouter.openapi(logout, (c) => {
  const message = 'The key is good until it is deleted with DELETE /api-keys/{key_id}.';
  return c.json({ logged_out: true as const, message }, 200);
});
