import { z } from 'zod';
import { keyMode, keyShape, newKeyShape } from '../../../accounts/keys-schema.ts';
import { requestObject } from '../../../fields.ts';
import { cursor, limit, sortByTime } from '../../../http/cursor.ts';
import { fieldsQuery, sparse } from '../../../http/fieldset.ts';

export const createApiKeySchema = requestObject({
  ...newKeyShape,
  mode: keyMode.default('live').meta({
    description:
      'What is started with a `test` key is answered by the demo model, whatever providers the account has, and costs ' +
      'nothing. Such a key changes nothing that is live.',
  }),
}).meta({ id: 'CreateApiKey' });

export const apiKeySchema = z.object(keyShape('os_live_4k2m')).meta({ id: 'ApiKey' });

export const apiKeyCreatedSchema = apiKeySchema
  .extend({ api_key: z.string().meta({ description: 'Shown once. Only its hash is kept.', example: 'os_live_…' }) })
  .meta({ id: 'ApiKeyCreated' });

export const apiKeyListQuery = z.object({
  limit,
  cursor,
  sort: sortByTime,
  fields: fieldsQuery(apiKeySchema, 'key_id'),
  mode: keyMode.optional().meta({ description: 'Only those.' }),
});

export const apiKeyListSchema = z
  .object({
    api_keys: z.array(sparse(apiKeySchema, 'key_id')),
    has_more: z.boolean(),
    next_cursor: z.string().nullable(),
  })
  .meta({ id: 'ApiKeyList' });
