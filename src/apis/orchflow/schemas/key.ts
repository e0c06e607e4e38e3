import { z } from 'zod';
import { allScopes, scopes } from '../../../accounts/scopes.ts';
import { duration, line, requestObject, timestamp } from '../../../fields.ts';

const scope = z.enum([...allScopes, ...scopes]).meta({
  id: 'Scope',
  description: '`*` is all. Starting a run is `runs:write`, answering what it asks a person `gates:answer`.',
  example: 'runs:read',
});

export const createKeySchema = requestObject({
  name: line(200).meta({ description: 'What you know it by.', example: 'Dashboard' }),
  scopes: z
    .array(scope)
    .min(1)
    .max(scopes.length + 1)
    .meta({
      description: 'What it may do: of the scopes of the key that asks.',
      example: ['runs:read', 'gates:answer'],
    }),
  expires_in: duration()
    .optional()
    .meta({ description: 'After that time it is not taken any more. Not given: it does not expire.', example: '90d' }),
}).meta({ id: 'CreateKey' });

const keySchema = z
  .object({
    key_id: z.string().meta({ example: 'key_abc123' }),
    name: z.string(),
    key_prefix: z.string().meta({ description: 'How the key begins.', example: 'orch_4k2m' }),
    scopes: z.array(z.string()),
    created_at: timestamp,
    expires_at: timestamp.nullable().meta({ description: 'Null: never.' }),
    last_used_at: timestamp.nullable().meta({ description: 'To the minute. Null: not yet.' }),
  })
  .meta({ id: 'Key' });

export const keyCreatedSchema = keySchema
  .extend({ api_key: z.string().meta({ description: 'Shown once. Only its hash is kept.', example: 'orch_…' }) })
  .meta({ id: 'KeyCreated' });

export const keyListSchema = z.object({ keys: z.array(keySchema) }).meta({ id: 'KeyList' });

export const keyDeletedSchema = z
  .object({ key_id: z.string(), status: z.literal('deleted'), message: z.string() })
  .meta({ id: 'KeyDeleted' });
