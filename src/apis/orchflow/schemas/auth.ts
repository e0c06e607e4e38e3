import { z } from 'zod';
import { line, requestObject, text } from '../../../fields.ts';

export const registerSchema = requestObject({
  name: line(200).meta({ example: 'Your Name' }),
  email: z.email().max(320).meta({ example: 'you@example.com' }),
  invite_code: text(0, 200).optional().meta({ description: 'Where the server registers by invitation.' }),
}).meta({ id: 'Register' });

export const registeredSchema = z
  .object({
    api_key: z.string().meta({ description: 'Shown once. Only its hash is kept.', example: 'orch_…' }),
    webhook_secret: z.string().meta({
      description: 'Shown once. Verifies the signature of webhooks (Standard Webhooks).',
      example: 'whsec_…',
    }),
    message: z.string(),
  })
  .meta({ id: 'Registered' });
