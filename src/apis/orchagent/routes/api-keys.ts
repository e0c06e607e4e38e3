import { z } from 'zod';
import { listKeys, type KeyView } from '../../../../db/api-keys.ts';
import { createKey, revokeKey } from '../../../accounts/keys.ts';
import { id } from '../../../fields.ts';
import { createRouter, json, links, optionalBody } from '../../../http/openapi.ts';
import { operation } from '../operation.ts';
import { nothingLeftSchema } from '../schemas/agent.ts';
import { apiKeyCreatedSchema, apiKeyListSchema, createApiKeySchema } from '../schemas/api-key.ts';

/** The house's keys in orchagent's clothes. */
export const apiKeysRouter = createRouter();

const tags = ['orchagent keys'];

function toWire({ key_id, key_prefix, ...key }: KeyView) {
  return { id: key_id, prefix: key_prefix, ...key };
}

const list = operation({
  method: 'get',
  path: '/',
  operationId: 'orchagentListKeys',
  scope: 'keys:read',
  tags,
  summary: 'List your API keys, newest first',
  description: 'Those of the other surfaces are among them. Keys of agents are at `/agents/{version_id}/keys`.',
  responses: { 200: json(apiKeyListSchema, 'The keys, without what they are') },
  links: links({ key_id: '/keys/0/id' }, 'orchagentDeleteKey'),
  problems: [404],
});

apiKeysRouter.openapi(list, async (c) => {
  const keys = await listKeys(c.var.deps.db, c.var.principal.account_id);
  return c.json({ keys: keys.map(toWire) }, 200);
});

const create = operation({
  method: 'post',
  path: '/',
  operationId: 'orchagentCreateKey',
  scope: 'keys:write',
  tags,
  summary: 'Create a new API key; it is shown this once',
  description:
    'It is taken on every path of this server that its scopes allow. A key makes only keys whose scopes it has itself and that end ' +
    'when it does, or before; a test key only test keys. Those that it has made stay when it is deleted. An account has at most 50, over all surfaces.',
  request: { body: optionalBody(createApiKeySchema) },
  responses: { 200: json(apiKeyCreatedSchema, 'The key') },
  links: links({ key_id: '/id' }, 'orchagentDeleteKey'),
  problems: [404],
});

apiKeysRouter.openapi(create, async (c) => {
  const { deps, principal, idempotency } = c.var;
  // A body that is left out is not read by the router.
  const request = createApiKeySchema.parse(c.req.valid('json') ?? {});
  const { scopes = principal.scopes, ...more } = request;
  const { api_key, ...key } = await createKey(deps, principal, { ...more, scopes }, idempotency, 'sk_');
  return c.json({ ...toWire(key), key: api_key }, 200);
});

const remove = operation({
  method: 'delete',
  path: '/{key_id}',
  operationId: 'orchagentDeleteKey',
  scope: 'keys:write',
  tags,
  summary: 'Delete an API key: a second later no server takes it any more',
  description:
    'The last live key that may do everything stays, and a key deletes only keys whose scopes it has itself.',
  request: { params: z.object({ key_id: id }) },
  responses: { 200: json(nothingLeftSchema, 'It is not taken any more') },
  problems: [404, 409],
});

apiKeysRouter.openapi(remove, async (c) => {
  await revokeKey(c.var.deps, c.var.principal, c.req.valid('param').key_id);
  return c.json({ deleted: true as const }, 200);
});
