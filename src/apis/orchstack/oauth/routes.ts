import type { Context } from 'hono';
import type { StatusCode } from 'hono/utils/http-status';
import { countedBody, hasBody } from '../../../http/body.ts';
import type { AppEnv } from '../../../http/env.ts';
import { addressOf, countFailure, limit } from '../../../http/limit.ts';
import { createRouter } from '../../../http/openapi.ts';
import { HttpError, notAllowed } from '../../../http/problems.ts';
import { exchange } from './exchange.ts';
import { answerConsent, showConsent } from './consent.ts';
import { contentSecurityPolicy } from './pages.ts';
import { paths } from './paths.ts';
import { authorizationServer } from './server.ts';

/**
 * OAuth's own requests, which no API key lets in and which `/openapi.json` does not list: their document is the metadata. Limited by
 * the address that they come from, since nobody else is known.
 */
export const oauthRouter = createRouter();

const methods: Record<string, string[]> = {
  [paths.metadata]: ['GET', 'HEAD'],
  [paths.authorize]: ['GET', 'HEAD'],
  [`${paths.authorize}/:uid`]: ['GET', 'HEAD'],
  [paths.token]: ['POST'],
  [paths.revoke]: ['POST'],
  [`${paths.consent}/:uid`]: ['GET', 'HEAD', 'POST'],
};

const limitAddress = limit((c) => [c.var.deps.limits.oauthPerAddress], addressOf);

for (const [path, allowed] of Object.entries(methods)) {
  oauthRouter.all(path, limitAddress, async (c) => {
    // In OAuth's own words it would be none of a batch's.
    if (c.env.isInBatch) throw new HttpError('NOT_FOUND', 'OAuth has no batches.');
    if (c.req.method === 'OPTIONS')
      return new Response(null, { status: 204, headers: { Allow: [...allowed, 'OPTIONS'].join(', ') } });
    if (!allowed.includes(c.req.method)) throw notAllowed(c.req.method, allowed);
    if (path === paths.metadata) return c.json(await metadata(c));
    if (!path.startsWith(paths.consent)) return ask(c);
    return c.req.method === 'POST' ? answerConsent(c) : showConsent(c);
  });
}

/** What oidc-provider answers to a request, as if it had come there, with the address under which clients find us. */
async function ask(c: Context<AppEnv>, path?: string): Promise<Response> {
  const { provider, handle, inject } = await authorizationServer(c);
  const received = performance.now();
  const payload = hasBody(c) ? await countedBody(c) : undefined;
  const { search, pathname } = new URL(c.req.url);
  const store: { received: number; failure?: unknown } = { received };
  const request = {
    // HEAD has no metadata to choose from.
    method: path === undefined ? (c.req.method as 'GET') : 'GET',
    url: path ?? pathname + search,
    headers: headersFor(c, provider.issuer),
    payload,
  };
  // It begins only when it is waited for, which must be within.
  const answer = await exchange.run(store, async () => await inject(handle, request));
  if (store.failure !== undefined) throw store.failure;
  // The secret of a client is not for guessing.
  if (answer.statusCode === 401) await countFailure(c, c.var.deps.limits.failedKeys);
  return responseOf(c, answer);
}

function headersFor(c: Context<AppEnv>, issuer: string): Record<string, string> {
  const { host, protocol } = new URL(issuer);
  const passed = ['accept', 'authorization', 'content-type', 'cookie', 'origin'];
  const given = passed.flatMap((name) => {
    const value = c.req.header(name);
    return value === undefined ? [] : [[name, value]];
  });
  return { ...Object.fromEntries(given), host, 'x-forwarded-proto': protocol.slice(0, -1) };
}

/** Cross-origin headers are those of the house, as on all paths. */
const ourOwn = /^(access-control-.*|connection|content-length|date|keep-alive|transfer-encoding|vary)$/;

type Answer = { statusCode: number; headers: object; rawPayload: Buffer };

function responseOf(c: Context<AppEnv>, { statusCode, headers: given, rawPayload }: Answer): Response {
  const headers = new Headers();
  for (const [name, value] of Object.entries(given as Record<string, string | string[] | undefined>)) {
    if (value === undefined || ourOwn.test(name)) continue;
    for (const one of [value].flat()) headers.append(name, String(one));
  }
  if (headers.get('content-type')?.startsWith('text/html') && !headers.has('content-security-policy')) {
    headers.set('Content-Security-Policy', contentSecurityPolicy([]));
  }
  // That of a redirect says once more where it leads, with the code in it.
  const hasContent = rawPayload.length > 0 && (statusCode < 300 || statusCode >= 400);
  return c.newResponse(hasContent ? new Uint8Array(rawPayload) : null, { status: statusCode as StatusCode, headers });
}

/** Of OpenID, of which this server has nothing. */
const ofOpenId =
  /^(acr_|claim|id_token_|subject_types|request_uri_parameter|request_parameter|userinfo|jwks_uri|end_session|backchannel_|response_modes)/;

/** Where what is, and what is taken (RFC 8414). */
async function metadata(c: Context<AppEnv>): Promise<object> {
  const answer = await ask(c, paths.metadata);
  const all = (await answer.json()) as Record<string, unknown>;
  const own = Object.entries(all).filter(([name]) => !ofOpenId.test(name));
  return {
    ...Object.fromEntries(own),
    scopes_supported: grantable(all),
    response_modes_supported: ['query', 'fragment'],
  };
}

function grantable({ scopes_supported }: Record<string, unknown>): string[] {
  return (scopes_supported as string[]).filter((scope) => scope !== 'openid');
}
