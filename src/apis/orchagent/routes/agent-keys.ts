import { z } from 'zod';
import type { AgentKeyView } from '../../../../db/agent-keys.ts';
import { agentKeys, createAgentKey, revokeAgentKey } from '../../../agents/agent-keys.ts';
import { getOwnVersion } from '../../../agents/publish.ts';
import { id } from '../../../fields.ts';
import { createRouter, json, links } from '../../../http/openapi.ts';
import { operation } from '../operation.ts';
import { agentKeyCreatedSchema, agentKeysSchema, nothingLeftSchema, versionId } from '../schemas/agent.ts';

/** What the code of an agent calls others with: `ORCHAGENT_SERVICE_KEY`. */
export const agentKeysRouter = createRouter();

const tags = ['orchagent keys'];
const params = z.object({ version_id: versionId });

function toWire({ key_id, key_prefix, created_at, expires_at, last_used_at }: AgentKeyView) {
  return { id: key_id, prefix: key_prefix, created_at, expires_at, last_used_at };
}

const list = operation({
  method: 'get',
  path: '/{version_id}/keys',
  operationId: 'listAgentKeys',
  scope: 'keys:read',
  tags,
  summary: 'The keys of an agent, newest first',
  description: 'They are of all of its versions, and go with it.',
  request: { params },
  responses: { 200: json(agentKeysSchema, 'The keys, without what they are') },
  problems: [404],
});

agentKeysRouter.openapi(list, async (c) => {
  const { deps, principal } = c.var;
  const version = await getOwnVersion(deps, principal, c.req.valid('param').version_id);
  return c.json({ keys: (await agentKeys(deps, principal, version)).map(toWire) }, 200);
});

const create = operation({
  method: 'post',
  path: '/{version_id}/keys',
  operationId: 'createAgentKey',
  scope: 'keys:write',
  givesSecret: true,
  tags,
  summary: 'Make a key for an agent; it is shown this once',
  description:
    'It calls agents in the name of its account, and does nothing else: what the code of an agent needs to call others. An agent has at ' +
    'most 10. Made with a key that expires, it expires with that.',
  request: { params },
  responses: { 200: json(agentKeyCreatedSchema, 'The key') },
  links: links({ key_id: '/id' }, 'deleteAgentKey'),
  problems: [404],
});

agentKeysRouter.openapi(create, async (c) => {
  const { deps, principal, idempotency } = c.var;
  const version = await getOwnVersion(deps, principal, c.req.valid('param').version_id);
  const { api_key, ...key } = await createAgentKey(deps, principal, version, idempotency);
  return c.json({ ...toWire(key), key: api_key }, 200);
});

const remove = operation({
  method: 'delete',
  path: '/{version_id}/keys/{key_id}',
  operationId: 'deleteAgentKey',
  scope: 'keys:write',
  tags,
  summary: 'Take a key of an agent back',
  description: 'A second later no server takes it any more.',
  request: { params: params.extend({ key_id: id }) },
  responses: { 200: json(nothingLeftSchema, 'It is not taken any more') },
  problems: [404],
});

agentKeysRouter.openapi(remove, async (c) => {
  const { deps, principal } = c.var;
  const { version_id, key_id } = c.req.valid('param');
  await revokeAgentKey(deps, principal, await getOwnVersion(deps, principal, version_id), key_id);
  return c.json({ deleted: true as const }, 200);
});
