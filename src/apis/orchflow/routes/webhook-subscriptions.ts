import { z } from 'zod';
import { rotateSubscriptionSecret } from '../../../../db/webhook-secrets.ts';
import { listSubscriptions } from '../../../../db/webhook-subscriptions.ts';
import { insertTestDelivery } from '../../../../db/webhooks.ts';
import { notFound } from '../../../errors.ts';
import { id } from '../../../fields.ts';
import { body, createRouter, json, links, optionalBody, route } from '../../../http/openapi.ts';
import { newId } from '../../../ids.ts';
import {
  changeSubscription,
  getSubscription,
  newSubscriptionSecret,
  subscribe,
  unsubscribe,
} from '../../../webhooks/subscriptions.ts';
import { testBody, testEvent } from '../../../webhooks/test-event.ts';
import { deliverySchema } from '../schemas/webhook.ts';
import {
  createSubscriptionSchema,
  subscriptionCreatedSchema,
  subscriptionDeletedSchema,
  subscriptionListSchema,
  subscriptionSchema,
  subscriptionSecretRotatedSchema,
  updateSubscriptionSchema,
} from '../schemas/webhook-subscription.ts';

export const webhookSubscriptionsRouter = createRouter();

const params = z.object({ subscription_id: id });

const create = route({
  method: 'post',
  path: '/',
  operationId: 'createWebhookSubscription',
  scope: 'webhooks:write',
  givesSecret: true,
  tags: ['Webhooks'],
  summary: 'Hear of events of all runs of this account; the secret is shown this once',
  description: `Each event that is wanted is posted as \`{id, type, timestamp, run_id, kind, seq, task_id, gate_id, title, data}\`:
what \`GET /runs/{run_id}/events\` tells, with the title of its task. \`id\` is the \`webhook-id\`, and stays over all attempts;
\`seq\` counts the events of the run, also those that are not wanted. Events of a run are sent in their order: the next one
goes when the one before has arrived, or has failed three times. What is no event of a run (\`knowledge.indexed\`,
\`knowledge.failed\`) has \`id\`, \`type\`, \`timestamp\` and \`data\` alone. Signed as in Standard Webhooks, and tried as long, as the
webhooks that runs name.`,
  request: { body: body(createSubscriptionSchema) },
  responses: { 201: json(subscriptionCreatedSchema, 'The subscription, with its secret') },
  links: links(
    { subscription_id: '/subscription_id' },
    'getWebhookSubscription',
    'updateWebhookSubscription',
    'testWebhookSubscription',
    'deleteWebhookSubscription',
  ),
});

webhookSubscriptionsRouter.openapi(create, async (c) => {
  const { deps, principal, idempotency } = c.var;
  const { ENCRYPTION_KEY: keys, MAX_WEBHOOK_SUBSCRIPTIONS_PER_ACCOUNT: most } = deps.config;
  return c.json(await subscribe(deps, principal.account_id, c.req.valid('json'), { keys, most }, idempotency), 201);
});

const list = route({
  method: 'get',
  path: '/',
  operationId: 'listWebhookSubscriptions',
  scope: 'webhooks:read',
  tags: ['Webhooks'],
  summary: 'Who hears of the runs of this account, newest first',
  description: 'What was sent to each: `GET /webhooks/deliveries?subscription_id=`.',
  responses: { 200: json(subscriptionListSchema, 'The subscriptions, without their secrets') },
  links: links(
    { subscription_id: '/subscriptions/0/subscription_id' },
    'getWebhookSubscription',
    'listWebhookDeliveries',
  ),
});

webhookSubscriptionsRouter.openapi(list, async (c) => {
  return c.json({ subscriptions: await listSubscriptions(c.var.deps.db, c.var.principal.account_id) }, 200);
});

const get = route({
  method: 'get',
  path: '/{subscription_id}',
  operationId: 'getWebhookSubscription',
  scope: 'webhooks:read',
  tags: ['Webhooks'],
  summary: 'A subscription, and how it is',
  description: '`failing_since` is set while nothing arrives.',
  request: { params },
  responses: { 200: json(subscriptionSchema, 'The subscription, without its secret') },
  problems: [404],
});

webhookSubscriptionsRouter.openapi(get, async (c) => {
  const { subscription_id } = c.req.valid('param');
  return c.json(await getSubscription(c.var.deps, c.var.principal.account_id, subscription_id), 200);
});

const update = route({
  method: 'patch',
  path: '/{subscription_id}',
  operationId: 'updateWebhookSubscription',
  scope: 'webhooks:write',
  tags: ['Webhooks'],
  summary: 'Change a subscription; what is not given stays',
  description:
    'What waits to be sent goes to the new `url`. Disabled, it is told of nothing, and what waits is not sent any more; ' +
    'active again, it is told of what happens from then on.',
  request: { params, body: optionalBody(updateSubscriptionSchema) },
  responses: { 200: json(subscriptionSchema, 'The subscription as it is now') },
  problems: [404],
});

webhookSubscriptionsRouter.openapi(update, async (c) => {
  const { subscription_id } = c.req.valid('param');
  const { deps, principal } = c.var;
  return c.json(await changeSubscription(deps, principal.account_id, subscription_id, c.req.valid('json')), 200);
});

const remove = route({
  method: 'delete',
  path: '/{subscription_id}',
  operationId: 'deleteWebhookSubscription',
  scope: 'webhooks:write',
  tags: ['Webhooks'],
  summary: 'End a subscription',
  description: 'What waits to be sent is not sent any more. What was sent stays in the log of deliveries.',
  request: { params },
  responses: { 200: json(subscriptionDeletedSchema, 'Nothing is sent to it any more') },
  problems: [404],
});

webhookSubscriptionsRouter.openapi(remove, async (c) => {
  const { subscription_id } = c.req.valid('param');
  await unsubscribe(c.var.deps, c.var.principal.account_id, subscription_id);
  return c.json({ subscription_id, status: 'deleted' as const, message: 'Subscription deleted.' }, 200);
});

const rotate = route({
  method: 'post',
  path: '/{subscription_id}/rotate-secret',
  operationId: 'rotateWebhookSubscriptionSecret',
  scope: 'webhooks:write',
  givesSecret: true,
  tags: ['Webhooks'],
  summary: 'A new secret for a subscription, shown once; the one before signs beside it for 24 hours',
  description: 'Receivers that check either of the two signatures miss nothing meanwhile.',
  request: { params },
  responses: { 200: json(subscriptionSecretRotatedSchema, 'The new secret') },
  problems: [404],
});

webhookSubscriptionsRouter.openapi(rotate, async (c) => {
  const { subscription_id } = c.req.valid('param');
  const { db, config } = c.var.deps;
  const account_id = c.var.principal.account_id;
  const { secret, secret_encrypted } = newSubscriptionSecret(config.ENCRYPTION_KEY, account_id, subscription_id);
  const previous_signs_until = await rotateSubscriptionSecret(db, { account_id, subscription_id, secret_encrypted });
  if (!previous_signs_until) throw notFound('Subscription');
  return c.json({ secret, previous_signs_until }, 200);
});

const test = route({
  method: 'post',
  path: '/{subscription_id}/test',
  operationId: 'testWebhookSubscription',
  scope: 'webhooks:write',
  tags: ['Webhooks'],
  summary: 'Send it an event `test`, once, to see whether it arrives',
  description:
    'It has the members of any other event, of which `run_id`, `kind`, `seq`, `task_id`, `gate_id` and `title` are null. How ' +
    'it went stands in the log of deliveries a moment later. It is sent to a disabled one too.',
  request: { params },
  responses: { 200: json(deliverySchema, 'It will be sent') },
  links: links({ subscription_id: '/subscription_id' }, 'listWebhookDeliveries'),
  problems: [404],
});

webhookSubscriptionsRouter.openapi(test, async (c) => {
  const { subscription_id } = c.req.valid('param');
  const { db, config } = c.var.deps;
  const delivery_id = newId('webhook_delivery', c.var.idempotency);
  const event = { delivery_id, subscription_id, event: testEvent, body: testBody(delivery_id) };
  const most = config.MAX_REDELIVERIES_PER_ACCOUNT;
  const delivery = await insertTestDelivery(db, c.var.principal.account_id, event, most);
  if (!delivery) throw notFound('Subscription');
  return c.json(delivery, 200);
});
