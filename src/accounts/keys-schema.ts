import { z } from 'zod';
import { duration, line, timestamp } from '../fields.ts';
import { allScopes, scopes } from './scopes.ts';

/** Keys, as every surface reads and writes them. */

const scope = z.enum([...allScopes, ...scopes]).meta({
  id: 'Scope',
  description: '`*` is all. Starting a run is `runs:write`, answering what it asks a person `gates:answer`.',
  example: 'runs:read',
});

export const keyMode = z.enum(['live', 'test']);

export const newKeyShape = {
  name: line(200).meta({ description: 'What you know it by.', example: 'Dashboard' }),
  scopes: z
    .array(scope)
    .min(1)
    .max(scopes.length + 1)
    .meta({
      description: 'What it may do: of the scopes of the key that asks.',
      example: ['runs:read', 'gates:answer'],
    }),
  expires_in: duration().optional().meta({
    description:
      'After that time it is not taken any more: not later than the key that asks. Not given: it ends with that, or does not expire.',
    example: '90d',
  }),
};

/** What is read of a key, which begins so. */
export function keyShape(key_prefix: string) {
  return {
    key_id: z.string().meta({ example: 'key_abc123' }),
    name: z.string(),
    mode: keyMode.meta({
      description: 'What a `test` key starts is answered by the demo model, and costs nothing.',
      example: 'live',
    }),
    key_prefix: z.string().meta({ description: 'How the key begins.', example: key_prefix }),
    scopes: z.array(z.string()),
    created_at: timestamp,
    expires_at: timestamp.nullable().meta({ description: 'Null: never.' }),
    last_used_at: timestamp.nullable().meta({ description: 'To the minute. Null: not yet.' }),
  };
}

export const keyDeletedSchema = z
  .object({ key_id: z.string(), status: z.literal('deleted'), message: z.string() })
  .meta({ id: 'KeyDeleted' });
