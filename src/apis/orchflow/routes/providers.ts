import { z } from 'zod';
import { deactivateProvider, findProvider, insertProvider, listProviders } from '../../../../db/providers.ts';
import type { Provider } from '../../../../db/schema.ts';
import { encrypt, providerKeyContext } from '../../../crypto.ts';
import { InvalidInputError, notFound, providerNotFound } from '../../../errors.ts';
import { requireCallable } from '../../../fetch/index.ts';
import { newId } from '../../../ids.ts';
import { DEFAULT_MODELS } from '../../../llm/index.ts';
import { body, createRouter, json, links, route } from '../../../http/openapi.ts';
import {
  createProviderSchema,
  providerDeactivatedSchema,
  providerListSchema,
  providerSchema,
} from '../schemas/provider.ts';
import { id } from '../../../fields.ts';

export const providersRouter = createRouter();

function toWire(row: Provider & { blocked_until?: string | null }) {
  const { provider_id, provider, label, model, base_url, gateway, replaces, status, blocked_until, created_at } = row;
  const more = { ...(replaces && { replaces }), ...(blocked_until && { blocked_until }) };
  return { provider_id, provider, label, model, base_url, gateway, status, ...more, created_at };
}

const create = route({
  method: 'post',
  path: '/',
  operationId: 'createProvider',
  scope: 'providers:write',
  tags: ['Providers'],
  summary: 'Register an LLM provider',
  description: 'The key is encrypted and never returned. Whether the vendor takes it shows in the first run.',
  request: { body: body(createProviderSchema) },
  responses: { 201: json(providerSchema, 'The provider, without its key') },
  links: links({ provider_id: '/provider_id' }, 'deactivateProvider'),
  problems: [404],
});

providersRouter.openapi(create, async (c) => {
  const { provider, api_key, label, model, base_url, gateway, replaces } = c.req.valid('json');
  const { db, config, checkAddress } = c.var.deps;
  requireCallable(checkAddress, [[['base_url'], base_url]]);
  const account_id = c.var.principal.account_id;
  const provider_id = newId('provider', c.var.idempotency);
  const context = providerKeyContext(account_id, provider_id);
  const replaced = replaces ? await findProvider(db, account_id, replaces) : undefined;
  if (replaces && !replaced) throw providerNotFound([['replaces']], 'a provider');
  if (replaced && replaced.provider !== provider) {
    throw new InvalidInputError([{ path: ['replaces'], detail: `is no provider of ${provider}` }]);
  }
  if (replaced?.gateway && !gateway) {
    throw new InvalidInputError([
      { path: ['gateway'], detail: 'must be true, for the provider that it replaces is one' },
    ]);
  }
  const row = {
    provider_id,
    account_id,
    provider,
    label: label ?? null,
    model: model ?? DEFAULT_MODELS[provider],
    base_url: base_url ?? null,
    gateway,
    replaces: replaces ?? null,
    api_key_encrypted: api_key === undefined ? null : encrypt(api_key, config.ENCRYPTION_KEY, context),
  };
  const created = await insertProvider(db, row, config.MAX_PROVIDERS_PER_ACCOUNT);
  if (replaces) await deactivateProvider(db, account_id, replaces);
  return c.json(toWire(created), 201);
});

const list = route({
  method: 'get',
  path: '/',
  operationId: 'listProviders',
  scope: 'providers:read',
  tags: ['Providers'],
  summary: 'Active providers, newest first',
  description: '`blocked_until` is there while a vendor wants to be left alone.',
  responses: { 200: json(providerListSchema, 'The providers, without their keys') },
  links: links({ provider_id: '/providers/0/provider_id' }, 'deactivateProvider'),
});

providersRouter.openapi(list, async (c) => {
  const providers = await listProviders(c.var.deps.db, c.var.principal.account_id);
  return c.json({ providers: providers.map(toWire) }, 200);
});

const remove = route({
  method: 'delete',
  path: '/{provider_id}',
  operationId: 'deactivateProvider',
  scope: 'providers:write',
  tags: ['Providers'],
  summary: 'Deactivate a provider',
  description: 'It cannot be made active again; register the key anew instead.',
  request: { params: z.object({ provider_id: id }) },
  responses: { 200: json(providerDeactivatedSchema, 'No run can use it any more') },
  problems: [404],
});

providersRouter.openapi(remove, async (c) => {
  const { provider_id } = c.req.valid('param');
  if (!(await deactivateProvider(c.var.deps.db, c.var.principal.account_id, provider_id))) throw notFound('Provider');
  return c.json({ provider_id, status: 'inactive' as const, message: 'Provider deactivated.' }, 200);
});
