import { z } from 'zod';
import { headerValue, id, line, requestObject, timestamp, url } from '../../../fields.ts';

export const createProviderSchema = requestObject({
  provider: z.enum(['gemini', 'openai', 'anthropic', 'ollama']),
  api_key: headerValue(1_000)
    .min(1, 'must not be empty')
    .optional()
    .meta({ description: 'Required, except for Ollama. Encrypted; never returned.' }),
  label: line(200).optional(),
  model: line(200).optional().meta({ description: "The vendor's default model unless given." }),
  base_url: url().optional().meta({ description: 'For Ollama, and for servers that speak the API of the vendor.' }),
  gateway: z.boolean().default(false).meta({
    description: 'The server at `base_url` has models of all makers: it serves every agent of its runs.',
  }),
  replaces: id.optional().meta({
    description: 'A provider of the same kind, which is deactivated: its runs go on with this one.',
  }),
})
  .refine(({ provider, api_key }) => provider === 'ollama' || api_key !== undefined, {
    path: ['api_key'],
    error: 'is required for this provider',
  })
  .refine(({ provider, base_url }) => provider !== 'ollama' || Boolean(base_url), {
    path: ['base_url'],
    error: 'is required for ollama, e.g. http://localhost:11434',
  })
  .refine(({ gateway, base_url }) => !gateway || Boolean(base_url), {
    path: ['base_url'],
    error: 'is required for a gateway',
  })
  .meta({ id: 'CreateProvider' });

export const providerSchema = z
  .object({
    provider_id: z.string().meta({ example: 'prv_abc123' }),
    provider: z.enum(['gemini', 'openai', 'anthropic', 'ollama']),
    label: z.string().nullable(),
    model: z.string(),
    base_url: z.string().nullable(),
    gateway: z.boolean(),
    replaces: z.string().optional().meta({ description: 'The provider whose runs it has taken over.' }),
    status: z.enum(['active', 'inactive']),
    blocked_until: timestamp.optional().meta({
      description: 'While it wants to be left alone (429 with Retry-After). The calls of all runs wait.',
    }),
    created_at: timestamp,
  })
  .meta({ id: 'Provider' });

export const providerListSchema = z.object({ providers: z.array(providerSchema) }).meta({ id: 'ProviderList' });

export const providerDeactivatedSchema = z
  .object({ provider_id: z.string(), status: z.literal('inactive'), message: z.string() })
  .meta({ id: 'ProviderDeactivated' });
