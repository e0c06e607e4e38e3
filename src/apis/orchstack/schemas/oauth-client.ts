import { z } from 'zod';
import { grantableScopes } from '../../../accounts/scopes.ts';
import { line, requestObject, text, timestamp } from '../../../fields.ts';
import { cursor, limit, sortByTime } from '../../../http/cursor.ts';
import { fieldsQuery, sparse } from '../../../http/fieldset.ts';

const clientType = z.enum(['confidential', 'public']);

export const createClientSchema = requestObject({
  name: line(100).meta({ description: 'Shown to whoever is asked to let it act for them.', example: 'Acme Inbox' }),
  type: clientType.default('confidential').meta({
    description:
      'A confidential client runs on a server, and has a secret. A public one, such as an app, has none, and must use PKCE.',
  }),
  redirect_uris: z
    .array(text(1, 2_000))
    .min(1)
    .max(10)
    .meta({
      description:
        'Where codes are sent: https, or http on localhost or 127.0.0.1 (of a public client on any port); of a public client also ' +
        'a scheme of its own, such as com.example.app:/callback.',
      example: ['https://app.example.com/callback'],
    }),
  scopes: z
    .array(z.enum(grantableScopes))
    .min(1)
    .max(grantableScopes.length)
    .meta({
      description: 'What it may ask for at most. Keys and clients are for the account alone.',
      example: ['agents:read', 'runs:read', 'runs:write'],
    }),
}).meta({ id: 'CreateOAuthClient' });

export const clientSchema = z
  .object({
    client_id: z.string().meta({ example: 'ocl_abc123' }),
    name: z.string(),
    type: clientType,
    redirect_uris: z.array(z.string()),
    scopes: z.array(z.string()),
    created_at: timestamp,
  })
  .meta({ id: 'OAuthClient' });

export const clientCreatedSchema = clientSchema
  .extend({
    client_secret: z
      .string()
      .nullable()
      .meta({ description: 'Shown once. Only its hash is kept. Null: of a public client.', example: 'os_cs_…' }),
  })
  .meta({ id: 'OAuthClientCreated' });

export const clientListQuery = z.object({
  limit,
  cursor,
  sort: sortByTime,
  fields: fieldsQuery(clientSchema, 'client_id'),
  type: clientType.optional().meta({ description: 'Only those.' }),
});

export const clientListSchema = z
  .object({
    clients: z.array(sparse(clientSchema, 'client_id')),
    has_more: z.boolean(),
    next_cursor: z.string().nullable(),
  })
  .meta({ id: 'OAuthClientList' });

export const clientDeletedSchema = z
  .object({ client_id: z.string(), status: z.literal('deleted'), message: z.string() })
  .meta({ id: 'OAuthClientDeleted' });
