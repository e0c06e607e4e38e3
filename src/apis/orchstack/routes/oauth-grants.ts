import { z } from 'zod';
import { deleteOwnGrant, listGrants } from '../../../../db/oauth-grants.ts';
import { notFound } from '../../../errors.ts';
import { id } from '../../../fields.ts';
import { pageByTime, pageOf } from '../../../http/cursor.ts';
import { pickFields } from '../../../http/fieldset.ts';
import { createRouter, json, links, route } from '../../../http/openapi.ts';
import { grantDeletedSchema, grantListQuery, grantListSchema } from '../schemas/oauth-grant.ts';

export const oauthGrantsRouter = createRouter();

const tags = ['OrchStack keys'];

const list = route({
  method: 'get',
  path: '/',
  operationId: 'listOAuthGrants',
  scope: 'clients:read',
  tags,
  summary: 'The applications that this account lets act for it, whoever has registered them',
  description: 'One for each time that somebody has consented with a key of this account.',
  request: { query: grantListQuery },
  responses: { 200: json(grantListSchema, 'A page of grants') },
  links: links({ grant_id: '/grants/0/grant_id' }, 'deleteOAuthGrant'),
});

oauthGrantsRouter.openapi(list, async (c) => {
  const { fields, ...asked } = c.req.valid('query');
  const { db } = c.var.deps;
  const found = await listGrants(db, c.var.principal.account_id, pageByTime(asked));
  const { items, ...page } = pageOf(found, asked.limit, ({ grant_id }) => grant_id);
  return c.json({ grants: items.map((grant) => pickFields(grant, 'grant_id', fields)), ...page }, 200);
});

const remove = route({
  method: 'delete',
  path: '/{grant_id}',
  operationId: 'deleteOAuthGrant',
  scope: 'clients:write',
  tags,
  summary: 'Let an application act for this account no more: a second later no token of this grant is taken',
  description: 'What it has started goes on. The key that has consented stays, and other grants too.',
  request: { params: z.object({ grant_id: id }) },
  responses: { 200: json(grantDeletedSchema, 'It is over') },
  problems: [404],
});

oauthGrantsRouter.openapi(remove, async (c) => {
  const { grant_id } = c.req.valid('param');
  if (!(await deleteOwnGrant(c.var.deps.db, c.var.principal.account_id, grant_id))) throw notFound('OAuth grant');
  return c.json({ grant_id, status: 'deleted' as const, message: 'OAuth grant deleted.' }, 200);
});
