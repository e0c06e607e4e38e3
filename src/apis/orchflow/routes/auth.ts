import { insertAccount } from '../../../../db/accounts.ts';
import type { Config } from '../../../config.ts';
import { encrypt, newWebhookSecret, webhookSecretContext } from '../../../crypto.ts';
import { makeKey } from '../../../accounts/keys.ts';
import { isInvited, requireRegistration } from '../../../accounts/registration.ts';
import { allScopes } from '../../../accounts/scopes.ts';
import { slugsFor } from '../../../accounts/slugs.ts';
import { DomainError } from '../../../errors.ts';
import { newId } from '../../../ids.ts';
import { countGuess } from '../../../http/limit.ts';
import { body, createRouter, json, route } from '../../../http/openapi.ts';
import { registeredSchema, registerSchema } from '../schemas/auth.ts';

export const authRouter = createRouter();

const register = route({
  method: 'post',
  path: '/register',
  operationId: 'registerAccount',
  tags: ['Auth'],
  summary: 'Create an account and get its API key, once',
  description:
    'The key goes into the `X-API-Key` of every other request. It is shown this once, as is the secret of the ' +
    'webhooks. An `Idempotency-Key` is no secret, so it brings no key of an account back: who has lost the answer ' +
    'registers with another e-mail (`name+2@example.com`).',
  isPublic: true,
  request: { body: body(registerSchema) },
  responses: { 201: json(registeredSchema, 'The account was created') },
  problems: [403, 409, 429],
});

authRouter.openapi(register, async (c) => {
  const { name, email, invite_code } = c.req.valid('json');
  const { db, config, limits } = c.var.deps;
  if (config.REGISTRATION === 'invite' && invite_code !== undefined) {
    await countGuess(c, limits.failedCodes, isInvited(config, invite_code));
  }
  requireRegistration(config, invite_code);
  const account_id = newId('account');
  const { api_key, row } = makeKey('First key', allScopes, { mode: 'live' });
  const webhook_secret = newWebhookSecret();
  const webhook_secret_encrypted = encrypt(webhook_secret, config.ENCRYPTION_KEY, webhookSecretContext(account_id));
  const slugs = slugsFor(name, () => newId('account').slice(-10));
  const created = await insertAccount(db, { account_id, name, email, webhook_secret_encrypted }, slugs, row);
  if (!created) throw new DomainError('EMAIL_TAKEN', 'An account with this e-mail exists already.');
  return c.json({ api_key, webhook_secret, message: welcome(config) }, 201);
});

function welcome(config: Config): string {
  const message = `Free tier: ${config.MONTHLY_RUN_LIMIT || 100} runs/month, ${config.MANAGED_TRIAL_RUNS_COUNT || 3} managed trial runs included.`;
  return config.ORCHFLOW_MODE === 'hosted'
    ? message
    : `${message} This server is self-hosted: its operator sets the limits.`;
}
