import { z } from 'zod';
import { id, requestObject, text, timestamp, url } from '../../../fields.ts';
import { cursor, limit, sortByTime } from '../../../http/cursor.ts';
import { fieldsQuery, sparse } from '../../../http/fieldset.ts';
import { agentEvents } from '../../../webhooks/subscriptions.ts';

const event = z.enum(agentEvents);

const given = {
  url: url().meta({ example: 'https://example.com/hooks/orchstack' }),
  events: z
    .array(event)
    .min(1)
    .max(100)
    .transform((types) => [...new Set(types)])
    .meta({ example: ['agent.run.completed', 'agent.run.failed', 'agent.gate.pending'] }),
  description: text(0, 200).optional(),
};

export const createWebhookSchema = requestObject(given).meta({ id: 'CreateWebhook' });

export const updateWebhookSchema = requestObject({
  url: given.url.optional(),
  events: given.events.optional(),
  description: given.description,
  status: z.enum(['active', 'disabled']).optional(),
}).meta({ id: 'UpdateWebhook' });

export const webhookSchema = z
  .object({
    webhook_id: z.string().meta({ example: 'sub_abc123' }),
    url: z.string(),
    events: z.array(z.string()).meta({
      description: 'Those of a subscription that was made at `/api/v1` are the events that runs tell there.',
    }),
    description: z.string().nullable(),
    status: z.enum(['active', 'disabled']),
    disabled_reason: z.string().nullable().meta({
      description: 'Why it was disabled, where its account has not done it.',
      example: 'The endpoint answered 410 Gone.',
    }),
    failing_since: timestamp.nullable().meta({
      description: 'No attempt has arrived since then. Null: the last one has, or there was none.',
    }),
    created_at: timestamp,
  })
  .meta({ id: 'Webhook' });

export const webhookCreatedSchema = webhookSchema
  .extend({ secret: z.string().meta({ description: 'Signs what is sent to it. Shown once.', example: 'whsec_…' }) })
  .meta({ id: 'WebhookCreated' });

export const webhookParams = z.object({ webhook_id: id });

export const webhookListQuery = z.object({
  limit,
  cursor,
  sort: sortByTime,
  fields: fieldsQuery(webhookSchema, 'webhook_id'),
  status: z.enum(['active', 'disabled']).optional(),
  event: event.optional().meta({ description: 'Those that are told of it.' }),
});

export const webhookListSchema = z
  .object({
    webhooks: z.array(sparse(webhookSchema, 'webhook_id')),
    has_more: z.boolean(),
    next_cursor: z.string().nullable(),
  })
  .meta({ id: 'WebhookList' });

export const webhookDeletedSchema = z
  .object({ webhook_id: z.string(), status: z.literal('deleted'), message: z.string() })
  .meta({ id: 'WebhookDeleted' });
