import type { Context } from 'hono';
import type { InteractionResults } from 'oidc-provider';
import { findPrincipalByKey, noteUse } from '../../../../db/api-keys.ts';
import { findClient } from '../../../../db/oauth-clients.ts';
import { hasScope } from '../../../accounts/scopes.ts';
import { isWellFormedKey, sha256 } from '../../../crypto.ts';
import { countedBody, hasBody } from '../../../http/body.ts';
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
  const interaction = await whileThere(provider.interactionDetails(incoming, outgoing));
  if (interaction?.uid !== c.req.param('uid')) return undefined;
  const { client_id, redirect_uri, scope } = interaction!.params as Record<string, string>;
  const asked: Asked = { client_id: client_id!, redirect_uri: redirect_uri!, scopes: scope!.split(' ') };
  return {
    asked,
    async finish(result: InteractionResults): Promise<Response> {
      const saving = provider.interactionResult(incoming, outgoing, result, { mergeWithLastSubmission: false });
      const back = await whileThere(saving);
      return back === undefined ? over(c) : c.redirect(back, 303);
    },
    /** Keeps that a key has consented, and returns what names that; undefined when the key or the client is gone meanwhile. */
    grant(key_id: string): Promise<string | undefined> {
      const grant = new provider.Grant({ accountId: key_id, clientId: asked.client_id });
      grant.addOIDCScope(asked.scopes.join(' '));
      return whileThere(grant.save());
    },
  };
}

/** The request may be answered, and the key and the client deleted, at any moment. */
async function whileThere<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof Error && ['SessionNotFound', 'InvalidGrant'].includes(error.name)) return undefined;
    throw error;
  }
}

export async function showConsent(c: Context<AppEnv>): Promise<Response> {
  const request = await findRequest(c);
  return request ? show(c, request.asked) : over(c);
}

export async function answerConsent(c: Context<AppEnv>): Promise<Response> {
  const request = await findRequest(c);
  if (!request) return over(c);
  const { asked } = request;
  const form = new URLSearchParams(hasBody(c) ? (await countedBody(c)).toString() : '');
  if (form.get('decision') === 'deny') {
    return request.finish({ error: 'access_denied', error_description: 'it was not allowed' });
  }
  if (form.get('decision') !== 'allow') return show(c, asked, 'Say whether you allow it.');
  const key = form.get('api_key')?.trim() ?? '';
  const { db, limits, log } = c.var.deps;
  const found = isWellFormedKey(key) ? await findPrincipalByKey(db, sha256(key)) : undefined;
  // That of a run is code's, which consents to nothing.
  const principal = found?.run_id ? undefined : found;
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
  if (grantId === undefined) return over(c);
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
