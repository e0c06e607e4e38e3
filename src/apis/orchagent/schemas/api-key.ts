import { z } from 'zod';
import { keyMode, keyShape, newKeyShape } from '../../../accounts/keys-schema.ts';
import { requestObject } from '../../../fields.ts';

const { key_id, key_prefix, ...shape } = keyShape('sk_4k2m');

export const apiKeySchema = z.object({ id: key_id, prefix: key_prefix, ...shape }).meta({ id: 'OrchagentKey' });

export const apiKeyListSchema = z.object({ keys: z.array(apiKeySchema) }).meta({ id: 'OrchagentKeys' });

export const apiKeyCreatedSchema = apiKeySchema
  .extend({ key: z.string().meta({ description: 'Shown once. Only its hash is kept.', example: 'sk_…' }) })
  .meta({ id: 'OrchagentKeyCreated' });

export const createApiKeySchema = requestObject({
  name: newKeyShape.name.default('API key'),
  scopes: newKeyShape.scopes.optional().meta({ description: 'Those of the key that asks unless given.' }),
  expires_in: newKeyShape.expires_in,
  mode: keyMode.optional().meta({ description: 'That of the key that asks unless given.' }),
}).meta({ id: 'CreateOrchagentKey' });
