import { createMiddleware } from 'hono/factory';
import type { Logger } from 'pino';
import { findPrincipalByKey, noteUse } from '../../db/api-keys.ts';
import type { Db } from '../../db/index.ts';
import { hasScope, missingScope, ownGates, type Scope } from '../accounts/scopes.ts';
import { isWellFormedApiKey, sha256 } from '../crypto.ts';
import { inTime } from './deadline.ts';
import type { AppEnv } from './env.ts';
import { countFailure } from './limit.ts';
import { HttpError } from './problems.ts';
import type { RateLimits } from './rate-limits.ts';

/** For so long a key that was good is not looked up again: clients poll. In milliseconds. */
const trustedFor = 1_000;
const maxTrusted = 10_000;

type Found = Awaited<ReturnType<typeof findPrincipalByKey>>;

function keyOf(apiKeyHeader: string | undefined, authorization: string | undefined): string | undefined {
  return apiKeyHeader ?? /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
}

/**
 * Lets in requests with an API key, in `X-API-Key` or as `Authorization: Bearer`, and sets `principal`. A key that is taken
 * back, or whose account is suspended, is refused a second later by every process; `isLetIn` tells long answers. Wrong keys
 * are counted by the address that they come from; good ones of that address are taken all the same, since nobody guesses
 * 256 bits.
 */
export function requireApiKey({ db, log, limits }: { db: Db; log: Logger; limits: RateLimits }) {
  const lookUps = new Map<string, { principal: Promise<Found>; until: number }>();

  /** Requests with one key that come at once, or soon after, share one look-up. */
  function findPrincipal(key: string): Promise<Found> {
    const known = lookUps.get(key);
    if (known && known.until > performance.now()) return known.principal;
    const principal = findPrincipalByKey(db, sha256(key));
    if (lookUps.size >= maxTrusted) lookUps.clear();
    lookUps.set(key, { principal, until: performance.now() + trustedFor });
    const forget = () => lookUps.delete(key);
    principal.then((found) => (found ? note(found) : forget()), forget);
    return principal;
  }

  /** In nobody's way: no request waits for it, and none fails with it. */
  function note({ key_id, is_use_old }: NonNullable<Found>): void {
    if (is_use_old) noteUse(db, key_id).catch((error) => log.warn({ err: error }, 'the use of a key was not noted'));
  }

  return createMiddleware<AppEnv>(async function requireApiKey(c, next) {
    const key = keyOf(c.req.header('x-api-key'), c.req.header('authorization'));
    const principal = key && isWellFormedApiKey(key) ? await inTime(c, findPrincipal(key)) : undefined;
    if (!key || !principal) {
      if (key) await countFailure(c, limits.failedKeys);
      const detail = 'Send your API key in the X-API-Key header. Get one with POST /api/v1/auth/register.';
      throw new HttpError('UNAUTHORIZED', detail);
    }
    if (principal.suspended_at) throw new HttpError('ACCOUNT_SUSPENDED', 'This account is suspended. Its runs wait.');
    c.set('principal', principal);
    // While Postgres is away nobody is taken for another than before.
    c.set('isLetIn', () =>
      findPrincipal(key).then(
        (found) => found !== undefined && !found.suspended_at,
        () => true,
      ),
    );
    await next();
  });
}

/**
 * Lets in requests whose key has this scope. To a person's own key there is nothing but what is `forPeople`: to it all else is
 * a page that is not there.
 */
export function requireScope(scope: Scope, forPeople: boolean) {
  return createMiddleware<AppEnv>(async function requireScope(c, next) {
    const { person_id, scopes } = c.var.principal;
    if (person_id !== null && !forPeople) throw new HttpError('NOT_FOUND', 'Page not found.');
    const needed = person_id === null ? scope : ownGates;
    if (!hasScope(scopes, needed)) throw missingScope(needed);
    await next();
  });
}
