import type { Context } from 'hono';
import type { InteractionResults } from 'oidc-provider';
import { findPrincipalByKey, noteUse } from '../../../../db/api-keys.ts';
import { findClient } from '../../../../db/oauth-clients.ts';
import { hasScope } from '../../../accounts/scopes.ts';
import { isWellFormedKey, sha256 } from '../../../crypto.ts';
import type { AppEnv } from '../../../http/env.ts';
import { countFailure } from '../../../http/limit.ts';
import { consentPage, contentSecurityPolicy, failurePage, sourceOf } from './pages.ts';
import { authorizationServer } from './server.ts';

/** Where somebody is asked whether a client may act for them. Who has an API key of an account may say so for it. */

type Asked = { client_id: string; redirect_uri: string; scopes: string[] };

/** What is asked of whoever has this page in their browser, and how that is answered; undefined when it is over. */
async function findRequest(c: Context<AppEnv>) {
  const { provider } = await authorizationServer(c);
  const { incoming, outgoing } = c.env;
  const interaction = await provider.interactionDetails(incoming, outgoing).catch((error: unknown) => {
    if (error instanceof Error && error.name === 'SessionNotFound') return undefined;
    throw error;
  });
  if (interaction?.uid !== c.req.param('uid')) return undefined;
  const { client_id, redirect_uri, scope } = interaction!.params as Record<string, string>;
  const asked: Asked = { client_id: client_id!, redirect_uri: redirect_uri!, scopes: scope!.split(' ') };
  return {
    asked,
    async finish(result: InteractionResults): Promise<Response> {
      return c.redirect(
        await provider.interactionResult(incoming, outgoing, result, { mergeWithLastSubmission: false }),
        303,
      );
    },
    /** Keeps that a key has consented, and returns what names that. */
    async grant(key_id: string): Promise<string> {
      const grant = new provider.Grant({ accountId: key_id, clientId: asked.client_id });
      grant.addOIDCScope(asked.scopes.join(' '));
      return grant.save();
    },
  };
}

export async function showConsent(c: Context<AppEnv>): Promise<Response> {
  const request = await findRequest(c);
  return request ? show(c, request.asked) : over(c);
}

export async function answerConsent(c: Context<AppEnv>): Promise<Response> {
  const request = await findRequest(c);
  if (!request) return over(c);
  const { api_key, decision } = await c.req.parseBody();
  if (decision !== 'allow') {
    return request.finish({ error: 'access_denied', error_description: 'it was not allowed' });
  }
  const { asked } = request;
  const key = typeof api_key === 'string' ? api_key.trim() : '';
  const { db, limits, log } = c.var.deps;
  const principal = isWellFormedKey(key) ? await findPrincipalByKey(db, sha256(key)) : undefined;
  // What a client was given lets no other in.
  if (!principal || principal.client_id) {
    if (key) await countFailure(c, limits.failedKeys);
    return show(c, asked, 'This is no API key of this server, or not any more.');
  }
  if (principal.suspended_at) return show(c, asked, 'The account of this key is suspended.');
  const lacking = asked.scopes.filter((scope) => !hasScope(principal.scopes, scope));
  if (lacking.length > 0) {
    return show(c, asked, `This key may not do all of it itself: it lacks ${lacking.join(', ')}.`);
  }
  const grantId = await request.grant(principal.key_id);
  noteUse(db, sha256(key)).catch((error) => log.warn({ err: error }, 'the use of a key was not noted'));
  return request.finish({ login: { accountId: principal.key_id, remember: false }, consent: { grantId } });
}

async function show(c: Context<AppEnv>, { client_id, scopes, redirect_uri }: Asked, fault?: string): Promise<Response> {
  const client = await findClient(c.var.deps.db, client_id);
  if (!client) return over(c);
  c.header('Content-Security-Policy', contentSecurityPolicy([sourceOf(redirect_uri)]));
  return c.html(consentPage(client, scopes, redirect_uri, fault), fault ? 422 : 200);
}

function over(c: Context<AppEnv>): Response | Promise<Response> {
  c.header('Content-Security-Policy', contentSecurityPolicy([]));
  return c.html(failurePage('This request has expired, was answered already, or was begun in another browser.'), 404);
}
