import { createMiddleware } from 'hono/factory';
import { findPrincipalByKey } from '../../db/accounts.ts';
import type { Db } from '../../db/index.ts';
import type { Principal } from '../accounts/principal.ts';
import { isWellFormedApiKey, sha256 } from '../crypto.ts';
import { inTime } from './deadline.ts';
import type { AppEnv } from './env.ts';
import { HttpError } from './problems.ts';

/** For so long a key that was good is not looked up again: clients poll. In milliseconds. */
const trustedFor = 1_000;
const maxTrusted = 10_000;

function keyOf(apiKeyHeader: string | undefined, authorization: string | undefined): string | undefined {
  return apiKeyHeader ?? /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
}

/** Lets in requests with an API key, in `X-API-Key` or as `Authorization: Bearer`, and sets `principal`. */
export function requireApiKey({ db }: { db: Db }) {
  const lookUps = new Map<string, { principal: Promise<Principal | undefined>; until: number }>();

  /** Requests with one key that come at once, or soon after, share one look-up. */
  function findPrincipal(key: string): Promise<Principal | undefined> {
    const known = lookUps.get(key);
    if (known && known.until > performance.now()) return known.principal;
    const principal = findPrincipalByKey(db, sha256(key));
    if (lookUps.size >= maxTrusted) lookUps.clear();
    lookUps.set(key, { principal, until: performance.now() + trustedFor });
    const forget = () => lookUps.delete(key);
    principal.then((found) => found ?? forget(), forget);
    return principal;
  }

  return createMiddleware<AppEnv>(async function requireApiKey(c, next) {
    const key = keyOf(c.req.header('x-api-key'), c.req.header('authorization'));
    const principal = key && isWellFormedApiKey(key) ? await inTime(c, findPrincipal(key)) : undefined;
    if (!principal) {
      const detail = 'Send your API key in the X-API-Key header. Get one with POST /api/v1/auth/register.';
      throw new HttpError('UNAUTHORIZED', detail);
    }
    c.set('principal', principal);
    await next();
  });
}
