import { z } from '@hono/zod-openapi';
import { text } from '../../../http/text.ts';

export const registerSchema = z
  .strictObject({
    name: text(1, 200).openapi({ example: 'Your Name' }),
    email: z.email().max(320).openapi({ example: 'you@example.com' }),
  })
  .openapi('Register');

export const registeredSchema = z
  .object({
    api_key: z.string().openapi({ description: 'Shown once. Only its hash is kept.', example: 'orch_…' }),
    webhook_secret: z.string().openapi({
      description: 'Shown once. Verifies the signature of webhooks (Standard Webhooks).',
      example: 'whsec_…',
    }),
    message: z.string(),
  })
  .openapi('Registered');
