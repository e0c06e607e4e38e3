import { z } from 'zod';
import { listClients } from '../../../../db/oauth-clients.ts';
import { getClient, maxClients, registerClient, removeClient } from '../../../accounts/oauth-clients.ts';
import { id } from '../../../fields.ts';
import { pageByTime, pageOf } from '../../../http/cursor.ts';
import { pickFields } from '../../../http/fieldset.ts';
import { body, createRouter, json, links, route } from '../../../http/openapi.ts';
import {
  clientCreatedSchema,
  clientDeletedSchema,
  clientListQuery,
  clientListSchema,
  clientSchema,
  createClientSchema,
} from '../schemas/oauth-client.ts';

export const oauthClientsRouter = createRouter();

const params = z.object({ client_id: id });
const tags = ['OrchStack keys'];

const create = route({
  method: 'post',
  path: '/',
  operationId: 'createOAuthClient',
  scope: 'clients:write',
  tags,
  summary: 'Register an application, which accounts can let act for them; its secret is shown this once',
  description:
    'OAuth 2.0 with authorization codes (RFC 6749) and PKCE (RFC 7636): `/.well-known/oauth-authorization-server` (RFC 8414) ' +
    'says where what is. Who is sent to the authorization endpoint consents with an API key, and the client gets tokens that ' +
    `may do what it asked for, as that key may; they are not taken any more once the key is deleted. An account has at most ${maxClients} clients.`,
  request: { body: body(createClientSchema) },
  responses: { 201: json(clientCreatedSchema, 'The client') },
  links: links({ client_id: '/client_id' }, 'getOAuthClient', 'deleteOAuthClient'),
});

oauthClientsRouter.openapi(create, async (c) => {
  const { deps, principal, idempotency } = c.var;
  return c.json(await registerClient(deps, principal, c.req.valid('json'), idempotency), 201);
});

const list = route({
  method: 'get',
  path: '/',
  operationId: 'listOAuthClients',
  scope: 'clients:read',
  tags,
  summary: 'The applications that this account has registered',
  description: 'They act for those who have let them; this account need not be among these.',
  request: { query: clientListQuery },
  responses: { 200: json(clientListSchema, 'A page of clients, without their secrets') },
  links: links({ client_id: '/clients/0/client_id' }, 'getOAuthClient', 'deleteOAuthClient'),
});

oauthClientsRouter.openapi(list, async (c) => {
  const { fields, type, ...asked } = c.req.valid('query');
  const { db } = c.var.deps;
  const found = await listClients(db, c.var.principal.account_id, { type, ...pageByTime(asked) });
  const { items, ...page } = pageOf(found, asked.limit, ({ client_id }) => client_id);
  return c.json({ clients: items.map((client) => pickFields(client, 'client_id', fields)), ...page }, 200);
});

const get = route({
  method: 'get',
  path: '/{client_id}',
  operationId: 'getOAuthClient',
  scope: 'clients:read',
  tags,
  summary: 'A client, without its secret',
  description: 'A secret that is lost cannot be shown again: register the application anew.',
  request: { params },
  responses: { 200: json(clientSchema, 'The client') },
  links: links({ client_id: '/client_id' }, 'deleteOAuthClient'),
  problems: [404],
});

oauthClientsRouter.openapi(get, async (c) => {
  const { client_id } = c.req.valid('param');
  return c.json(await getClient(c.var.deps, c.var.principal, client_id), 200);
});

const remove = route({
  method: 'delete',
  path: '/{client_id}',
  operationId: 'deleteOAuthClient',
  scope: 'clients:write',
  tags,
  summary: 'Delete a client: a second later no token that anybody has given it is taken any more',
  description: 'What it has started goes on.',
  request: { params },
  responses: { 200: json(clientDeletedSchema, 'It is not known any more') },
  problems: [404],
});

oauthClientsRouter.openapi(remove, async (c) => {
  const { client_id } = c.req.valid('param');
  await removeClient(c.var.deps, c.var.principal, client_id);
  return c.json({ client_id, status: 'deleted' as const, message: 'OAuth client deleted.' }, 200);
});
