import { z } from 'zod';
import { id, timestamp } from '../../../fields.ts';
import { cursor, limit } from '../../../http/cursor.ts';

const deliveryStatus = z.enum(['pending', 'delivered', 'failed', 'disabled']);

export const deliverySchema = z
  .object({
    delivery_id: z.string().meta({ description: 'The `webhook-id` of every attempt.', example: 'msg_run_abc123_1' }),
    run_id: z.string().nullable().meta({ description: 'Null: of no run.' }),
    subscription_id: z.string().nullable().meta({ description: 'Null: to a URL that the run names.' }),
    event: z.string().meta({ example: 'waiting_human' }),
    status: deliveryStatus.meta({
      description:
        '`disabled`: not sent, because the endpoint answered 410 Gone to another event of the run, or the subscription is ' +
        'disabled or deleted.',
    }),
    attempts: z.int(),
    last_response: z.string().nullable().meta({
      description: 'HTTP status and the beginning of the last answer, or why there was none.',
      example: 'HTTP 500: Internal Server Error',
    }),
    created_at: timestamp,
    last_attempt_at: timestamp.nullable(),
    delivered_at: timestamp.nullable(),
  })
  .meta({ id: 'WebhookDelivery' });

export const deliveryListQuery = z.object({
  limit,
  cursor,
  run_id: id.optional(),
  subscription_id: id.optional(),
  status: deliveryStatus.optional(),
});

export const deliveryListSchema = z
  .object({ deliveries: z.array(deliverySchema), has_more: z.boolean(), next_cursor: z.string().nullable() })
  .meta({ id: 'WebhookDeliveryList' });

export const secretRotatedSchema = z
  .object({
    webhook_secret: z.string().meta({ description: 'Shown once.', example: 'whsec_…' }),
    previous_signs_until: timestamp.meta({
      description: 'Until then webhooks carry two signatures, by this secret and by the one before.',
    }),
  })
  .meta({ id: 'WebhookSecretRotated' });
