import { z } from 'zod';
import { listKeys } from '../../../../db/api-keys.ts';
import { createKey, revokeKey } from '../../../accounts/keys.ts';
import { keyDeletedSchema } from '../../../accounts/keys-schema.ts';
import { id } from '../../../fields.ts';
import { body, createRouter, json, links, route } from '../../../http/openapi.ts';
import { createKeySchema, keyCreatedSchema, keyListSchema } from '../schemas/key.ts';

export const keysRouter = createRouter();

const create = route({
  method: 'post',
  path: '/',
  operationId: 'createKey',
  scope: 'keys:write',
  tags: ['Auth'],
  summary: 'Make an API key with a name and scopes of its own; it is shown this once',
  description:
    'A key makes only keys whose scopes it has itself and that end when it does, or before; a test key only test keys. Those ' +
    'that it has made stay when it is deleted. To change a key, make another, use it, ' +
    'and delete the first: both are good meanwhile. An account has at most 50.',
  request: { body: body(createKeySchema) },
  responses: { 201: json(keyCreatedSchema, 'The key') },
  links: links({ key_id: '/key_id' }, 'deleteKey'),
});

keysRouter.openapi(create, async (c) => {
  const { deps, principal, idempotency } = c.var;
  return c.json(await createKey(deps, principal, c.req.valid('json'), idempotency), 201);
});

const list = route({
  method: 'get',
  path: '/',
  operationId: 'listKeys',
  scope: 'keys:read',
  tags: ['Auth'],
  summary: 'The API keys of this account, newest first',
  description: 'Of each what it may do, until when, and when it was last used. Those that have expired are gone.',
  responses: { 200: json(keyListSchema, 'The keys, without what they are') },
  links: links({ key_id: '/keys/0/key_id' }, 'deleteKey'),
});

keysRouter.openapi(list, async (c) => {
  return c.json({ keys: await listKeys(c.var.deps.db, c.var.principal.account_id) }, 200);
});

const remove = route({
  method: 'delete',
  path: '/{key_id}',
  operationId: 'deleteKey',
  scope: 'keys:write',
  tags: ['Auth'],
  summary: 'Take an API key back: a second later no server takes it any more',
  description:
    'Streams that it has open end. What it has started goes on. A key deletes only keys whose scopes it has itself, a test ' +
    'key only test keys, and the last live one that may do everything stays.',
  request: { params: z.object({ key_id: id }) },
  responses: { 200: json(keyDeletedSchema, 'It is not taken any more') },
  problems: [404, 409],
});

keysRouter.openapi(remove, async (c) => {
  const { key_id } = c.req.valid('param');
  await revokeKey(c.var.deps, c.var.principal, key_id);
  return c.json({ key_id, status: 'deleted' as const, message: 'Key deleted.' }, 200);
});
