import { z } from 'zod';
import { listKeyPage } from '../../../../db/api-keys.ts';
import { createKey, getKey, revokeKey } from '../../../accounts/keys.ts';
import { keyDeletedSchema } from '../../../accounts/keys-schema.ts';
import { id } from '../../../fields.ts';
import { pageByTime, pageOf } from '../../../http/cursor.ts';
import { pickFields } from '../../../http/fieldset.ts';
import { body, createRouter, json, links, route } from '../../../http/openapi.ts';
import {
  apiKeyCreatedSchema,
  apiKeyListQuery,
  apiKeyListSchema,
  apiKeySchema,
  createApiKeySchema,
} from '../schemas/api-key.ts';

export const apiKeysRouter = createRouter();

const params = z.object({ key_id: id });

const create = route({
  method: 'post',
  path: '/',
  operationId: 'createApiKey',
  scope: 'keys:write',
  tags: ['OrchStack keys'],
  summary: 'Make an API key, live or for tests; it is shown this once',
  description:
    'It is taken on every path of this server that its scopes allow. A key makes only keys whose scopes it has itself and ' +
    'that end when it does, or before; a test key only test keys. Those that it has made stay when it is deleted. An account has at most 50, with those of `POST /api/v1/keys`.',
  request: { body: body(createApiKeySchema) },
  responses: { 201: json(apiKeyCreatedSchema, 'The key') },
  links: links({ key_id: '/key_id' }, 'getApiKey', 'deleteApiKey'),
});

apiKeysRouter.openapi(create, async (c) => {
  const { deps, principal, idempotency } = c.var;
  return c.json(await createKey(deps, principal, c.req.valid('json'), idempotency, 'os_live_'), 201);
});

const list = route({
  method: 'get',
  path: '/',
  operationId: 'listApiKeys',
  scope: 'keys:read',
  tags: ['OrchStack keys'],
  summary: 'The API keys of this account',
  description: 'Of each what it may do, until when, and when it was last used. Those that have expired are gone.',
  request: { query: apiKeyListQuery },
  responses: { 200: json(apiKeyListSchema, 'A page of keys, without what they are') },
  links: links({ key_id: '/api_keys/0/key_id' }, 'getApiKey', 'deleteApiKey'),
});

apiKeysRouter.openapi(list, async (c) => {
  const { fields, mode, ...asked } = c.req.valid('query');
  const { db } = c.var.deps;
  const found = await listKeyPage(db, c.var.principal.account_id, { mode, ...pageByTime(asked) });
  const { items, ...page } = pageOf(found, asked.limit, ({ key_id }) => key_id);
  return c.json({ api_keys: items.map((key) => pickFields(key, 'key_id', fields)), ...page }, 200);
});

const get = route({
  method: 'get',
  path: '/{key_id}',
  operationId: 'getApiKey',
  scope: 'keys:read',
  tags: ['OrchStack keys'],
  summary: 'An API key, without what it is',
  description: 'What it may do, until when, and when it was last used.',
  request: { params },
  responses: { 200: json(apiKeySchema, 'The key') },
  links: links({ key_id: '/key_id' }, 'deleteApiKey'),
  problems: [404],
});

apiKeysRouter.openapi(get, async (c) => {
  const { key_id } = c.req.valid('param');
  return c.json(await getKey(c.var.deps, c.var.principal, key_id), 200);
});

const remove = route({
  method: 'delete',
  path: '/{key_id}',
  operationId: 'deleteApiKey',
  scope: 'keys:write',
  tags: ['OrchStack keys'],
  summary: 'Take an API key back: a second later no server takes it any more',
  description:
    'So it is with what OAuth clients were given by it. Streams that it has open end. What it has started goes on. A key ' +
    'deletes only keys whose scopes it has itself, a test key only test keys, and the last live one that may do everything stays.',
  request: { params },
  responses: { 200: json(keyDeletedSchema, 'It is not taken any more') },
  problems: [404, 409],
});

apiKeysRouter.openapi(remove, async (c) => {
  const { key_id } = c.req.valid('param');
  await revokeKey(c.var.deps, c.var.principal, key_id);
  return c.json({ key_id, status: 'deleted' as const, message: 'Key deleted.' }, 200);
});
