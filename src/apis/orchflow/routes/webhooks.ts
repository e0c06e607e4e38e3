import { z } from 'zod';
import { rotateWebhookSecret } from '../../../../db/webhook-secrets.ts';
import { listDeliveries, redeliver } from '../../../../db/webhooks.ts';
import { encrypt, newWebhookSecret, webhookSecretContext } from '../../../crypto.ts';
import { pageOf, readCursor } from '../../../http/cursor.ts';
import { notFound } from '../../../errors.ts';
import { createRouter, json, links, route } from '../../../http/openapi.ts';
import { id } from '../../../fields.ts';
import { deliveryListQuery, deliveryListSchema, deliverySchema, secretRotatedSchema } from '../schemas/webhook.ts';

export const webhooksRouter = createRouter();

const rotate = route({
  method: 'post',
  path: '/secret/rotate',
  operationId: 'rotateWebhookSecret',
  scope: 'webhooks:write',
  givesSecret: true,
  tags: ['Webhooks'],
  summary: 'A new secret for the signatures, shown once; the one before signs beside it for 24 hours',
  description:
    'It signs what goes to the webhooks of runs; subscriptions have secrets of their own. Receivers that check either of the ' +
    'two signatures miss nothing meanwhile.',
  responses: { 200: json(secretRotatedSchema, 'The new secret') },
});

webhooksRouter.openapi(rotate, async (c) => {
  const { db, config } = c.var.deps;
  const account_id = c.var.principal.account_id;
  const webhook_secret = newWebhookSecret();
  const encrypted = encrypt(webhook_secret, config.ENCRYPTION_KEY, webhookSecretContext(account_id));
  const previous_signs_until = await rotateWebhookSecret(db, account_id, encrypted);
  return c.json({ webhook_secret, previous_signs_until }, 200);
});

const list = route({
  method: 'get',
  path: '/deliveries',
  operationId: 'listWebhookDeliveries',
  scope: 'webhooks:read',
  tags: ['Webhooks'],
  summary: 'What was sent to webhooks, and how that went, newest first',
  description:
    'To the webhooks of runs and to subscriptions alike. Of a subscription, what waits in a run for an event before it is not ' +
    'there yet. Pass `next_cursor` as `cursor` for the page after this one.',
  request: { query: deliveryListQuery },
  responses: { 200: json(deliveryListSchema, 'A page of deliveries') },
  links: {
    ...links({ delivery_id: '/deliveries/0/delivery_id' }, 'redeliver'),
    ...links({ run_id: '/deliveries/0/run_id' }, 'getRun'),
    ...links({ cursor: '/next_cursor' }, 'listWebhookDeliveries'),
  },
});

webhooksRouter.openapi(list, async (c) => {
  const { limit, cursor, ...filter } = c.req.valid('query');
  const after = cursor === undefined ? undefined : readCursor(cursor);
  const found = await listDeliveries(c.var.deps.db, c.var.principal.account_id, { ...filter, limit: limit + 1, after });
  const { items: deliveries, ...page } = pageOf(found, limit, ({ delivery_id }) => delivery_id);
  return c.json({ deliveries, ...page }, 200);
});

const again = route({
  method: 'post',
  path: '/deliveries/{delivery_id}/redeliver',
  operationId: 'redeliver',
  scope: 'webhooks:write',
  tags: ['Webhooks'],
  summary: 'Send an event again: the same id and body, a new time',
  description: 'Receivers know it by its `webhook-id`, which stays.',
  request: { params: z.object({ delivery_id: id }) },
  responses: { 200: json(deliverySchema, 'It will be sent') },
  links: links({ run_id: '/run_id' }, 'listWebhookDeliveries'),
  problems: [404],
});

webhooksRouter.openapi(again, async (c) => {
  const { delivery_id } = c.req.valid('param');
  const { db, config } = c.var.deps;
  const most = config.MAX_REDELIVERIES_PER_ACCOUNT;
  const redelivered = await redeliver(db, c.var.principal.account_id, delivery_id, most);
  if ('missing' in redelivered) throw notFound(redelivered.missing);
  return c.json(redelivered, 200);
});
