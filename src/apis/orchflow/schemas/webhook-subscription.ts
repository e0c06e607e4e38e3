import { z } from 'zod';
import { accountEventTypes, eventTypes } from '../../../../workflows/contract/events.ts';
import { requestObject, text, timestamp, url } from '../../../fields.ts';

const given = {
  url: url().meta({ example: 'https://example.com/hooks/orchflow' }),
  events: z
    .array(z.enum(['*', ...eventTypes, ...accountEventTypes]))
    .min(1)
    .max(100)
    .transform((types) => [...new Set(types)])
    .meta({
      description:
        'Types of events, as `GET /runs/{run_id}/events` tells them, and those of knowledge bases. `*`: all, also those that ' +
        'come later.',
      example: ['run.completed', 'run.failed', 'gate.opened'],
    }),
  description: text(0, 200).optional(),
};

export const createSubscriptionSchema = requestObject(given).meta({ id: 'CreateWebhookSubscription' });

export const updateSubscriptionSchema = requestObject({
  url: given.url.optional(),
  events: given.events.optional(),
  description: given.description,
  status: z.enum(['active', 'disabled']).optional(),
}).meta({ id: 'UpdateWebhookSubscription' });

export const subscriptionSchema = z
  .object({
    subscription_id: z.string().meta({ example: 'sub_abc123' }),
    url: z.string(),
    events: z.array(z.string()),
    description: z.string().nullable(),
    status: z.enum(['active', 'disabled']),
    disabled_reason: z.string().nullable().meta({
      description: 'Why Orchflow has disabled it. Null: it has not.',
      example: 'The endpoint answered 410 Gone.',
    }),
    failing_since: timestamp.nullable().meta({
      description: 'No attempt has arrived since then. Null: the last one has, or there was none.',
    }),
    created_at: timestamp,
  })
  .meta({ id: 'WebhookSubscription' });

const secret = z.string().meta({ description: 'Signs what is sent to it. Shown once.', example: 'whsec_…' });

export const subscriptionCreatedSchema = subscriptionSchema
  .extend({ secret })
  .meta({ id: 'WebhookSubscriptionCreated' });

export const subscriptionListSchema = z
  .object({ subscriptions: z.array(subscriptionSchema) })
  .meta({ id: 'WebhookSubscriptionList' });

export const subscriptionDeletedSchema = z
  .object({ subscription_id: z.string(), status: z.literal('deleted'), message: z.string() })
  .meta({ id: 'WebhookSubscriptionDeleted' });

export const subscriptionSecretRotatedSchema = z
  .object({
    secret,
    previous_signs_until: timestamp.meta({
      description: 'Until then what is sent carries two signatures, by this secret and by the one before.',
    }),
  })
  .meta({ id: 'WebhookSubscriptionSecretRotated' });
