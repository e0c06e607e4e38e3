import { z } from 'zod';
import { timestamp } from '../../../fields.ts';
import { cursor, limit, sortByTime } from '../../../http/cursor.ts';
import { fieldsQuery, sparse } from '../../../http/fieldset.ts';

export const grantSchema = z
  .object({
    grant_id: z.string(),
    client_id: z.string().meta({ example: 'ocl_abc123' }),
    name: z.string().meta({ description: 'Of the client, as whoever has registered it says.' }),
    scopes: z.array(z.string()),
    key_id: z.string().meta({ description: 'The key that has consented.' }),
    created_at: timestamp,
    expires_at: timestamp.meta({ description: 'Until then the client may refresh what it has.' }),
  })
  .meta({ id: 'OAuthGrant' });

export const grantListQuery = z.object({
  limit,
  cursor,
  sort: sortByTime,
  fields: fieldsQuery(grantSchema, 'grant_id'),
});

export const grantListSchema = z
  .object({
    grants: z.array(sparse(grantSchema, 'grant_id')),
    has_more: z.boolean(),
    next_cursor: z.string().nullable(),
  })
  .meta({ id: 'OAuthGrantList' });

export const grantDeletedSchema = z
  .object({ grant_id: z.string(), status: z.literal('deleted'), message: z.string() })
  .meta({ id: 'OAuthGrantDeleted' });
