import type { z } from 'zod';
import { listSubscriptionPage, type SubscriptionView } from '../../../../db/webhook-subscriptions.ts';
import { sha256 } from '../../../crypto.ts';
import { pageByTime, pageOf } from '../../../http/cursor.ts';
import { ifMatchHeader, requireMatch, setETag, versionsOfIfMatch } from '../../../http/entity-tags.ts';
import { pickFields } from '../../../http/fieldset.ts';
import { body, createRouter, json, links, optionalBody, route } from '../../../http/openapi.ts';
import { changeSubscription, getSubscription, subscribe, unsubscribe } from '../../../webhooks/subscriptions.ts';
import {
  createWebhookSchema,
  updateWebhookSchema,
  webhookCreatedSchema,
  webhookDeletedSchema,
  webhookListQuery,
  webhookListSchema,
  webhookParams as params,
  webhookSchema,
} from '../schemas/webhook.ts';

/** The house's subscriptions, in OrchStack's words. */
export const webhooksRouter = createRouter();

const tags = ['OrchStack webhooks'];

function webhookLinks(webhook_id = '/webhook_id') {
  return links({ webhook_id }, 'getWebhook', 'updateWebhook', 'deleteWebhook');
}

function toWire({ subscription_id, ...subscription }: SubscriptionView): z.infer<typeof webhookSchema> {
  return { webhook_id: subscription_id, ...subscription };
}

/** What its account says of it is its version; that it fails is none. */
function versionOf({ url, events, description, status }: SubscriptionView): string {
  return sha256(JSON.stringify([url, events, description, status]));
}

const create = route({
  method: 'post',
  path: '/',
  operationId: 'createWebhook',
  scope: 'webhooks:write',
  givesSecret: true,
  tags,
  summary: 'Hear of runs of agents and workflows, and of documents; the secret is shown this once',
  description: `Each event is posted as \`{id, type, timestamp, data}\`. \`data\` of a run has \`run_id\`, \`agent_id\`, \`workflow_id\` (of a run
of a workflow), \`status\`, \`output\` (of \`agent.run.completed\`; its first 100,000 characters where \`output_truncated\`), \`error\` (of
\`agent.run.failed\`, also when it has timed out), \`gate\` (of \`agent.gate.pending\`: what is waited for), \`tokens\` and \`duration_ms\`.
Runs of Orchflow's goals are not told here. \`id\` is the \`webhook-id\`, and stays over all attempts; signed as in Standard Webhooks
(https://www.standardwebhooks.com). Anything but 2xx is tried again for about three days. Events of one run are sent in their order.
What was sent, and sending it again: \`GET /api/v1/webhooks/deliveries?subscription_id=\`.`,
  request: { body: body(createWebhookSchema) },
  responses: { 201: json(webhookCreatedSchema, 'The webhook, with its secret') },
  links: webhookLinks(),
});

webhooksRouter.openapi(create, async (c) => {
  const { deps, principal, idempotency } = c.var;
  const { ENCRYPTION_KEY: keys, MAX_WEBHOOK_SUBSCRIPTIONS_PER_ACCOUNT: most } = deps.config;
  const limits = { keys, most };
  const { secret, ...created } = await subscribe(deps, principal.account_id, c.req.valid('json'), limits, idempotency);
  setETag(c, versionOf(created));
  c.header('Location', `/v1/webhooks/${created.subscription_id}`);
  return c.json({ ...toWire(created), secret }, 201);
});

const list = route({
  method: 'get',
  path: '/',
  operationId: 'listWebhooks',
  scope: 'webhooks:read',
  tags,
  summary: 'Who hears of the runs of this account, newest first unless `sort` says otherwise',
  description:
    'Pass `next_cursor` as `cursor`, with the same filters and `sort`, for the page after this one. Subscriptions that were made ' +
    'at `/api/v1/webhooks/subscriptions` are here too.',
  request: { query: webhookListQuery },
  responses: { 200: json(webhookListSchema, 'A page of webhooks, without their secrets') },
  links: { ...webhookLinks('/webhooks/0/webhook_id'), ...links({ cursor: '/next_cursor' }, 'listWebhooks') },
});

webhooksRouter.openapi(list, async (c) => {
  const { limit, cursor, sort, fields, ...filter } = c.req.valid('query');
  const { account_id } = c.var.principal;
  const found = await listSubscriptionPage(c.var.deps.db, account_id, filter, pageByTime({ limit, cursor, sort }));
  const { items, ...page } = pageOf(found, limit, ({ subscription_id }) => subscription_id);
  const webhooks = items.map((item) => pickFields(toWire(item), 'webhook_id', fields));
  return c.json({ webhooks, ...page }, 200);
});

const get = route({
  method: 'get',
  path: '/{webhook_id}',
  operationId: 'getWebhook',
  scope: 'webhooks:read',
  tags,
  summary: 'A webhook, and how it is',
  description: '`failing_since` is set while nothing arrives.',
  request: { params },
  responses: { 200: json(webhookSchema, 'The webhook, without its secret') },
  links: webhookLinks(),
  problems: [404],
});

webhooksRouter.openapi(get, async (c) => {
  const { webhook_id } = c.req.valid('param');
  const found = await getSubscription(c.var.deps, c.var.principal.account_id, webhook_id);
  setETag(c, versionOf(found));
  return c.json(toWire(found), 200);
});

const update = route({
  method: 'patch',
  path: '/{webhook_id}',
  operationId: 'updateWebhook',
  scope: 'webhooks:write',
  tags,
  summary: 'Change a webhook; what is not given stays',
  description:
    'What waits to be sent goes to the new `url`. Disabled, it is told of nothing, and what waits is not sent any more; active ' +
    'again, it is told of what happens from then on. `events` replace all that it had.',
  request: { params, headers: ifMatchHeader, body: optionalBody(updateWebhookSchema) },
  responses: { 200: json(webhookSchema, 'The webhook as it is now') },
  links: webhookLinks(),
  problems: [404, 412],
});

webhooksRouter.openapi(update, async (c) => {
  const { webhook_id } = c.req.valid('param');
  const { deps, principal } = c.var;
  const seen = versionsOfIfMatch(c);
  const check = (before: SubscriptionView) => requireMatch(seen, versionOf(before), 'webhook');
  const updated = await changeSubscription(deps, principal.account_id, webhook_id, c.req.valid('json'), check);
  setETag(c, versionOf(updated));
  return c.json(toWire(updated), 200);
});

const remove = route({
  method: 'delete',
  path: '/{webhook_id}',
  operationId: 'deleteWebhook',
  scope: 'webhooks:write',
  tags,
  summary: 'End a webhook',
  description: 'What waits to be sent is not sent any more. What was sent stays in the log of deliveries.',
  request: { params },
  responses: { 200: json(webhookDeletedSchema, 'Nothing is sent to it any more') },
  problems: [404],
});

webhooksRouter.openapi(remove, async (c) => {
  const { webhook_id } = c.req.valid('param');
  await unsubscribe(c.var.deps, c.var.principal.account_id, webhook_id);
  return c.json({ webhook_id, status: 'deleted' as const, message: 'Webhook deleted.' }, 200);
});
