import { createMiddleware } from 'hono/factory';
import { findAccountIdByKey } from '../db/accounts.ts';
import { isWellFormedApiKey, sha256 } from './crypto.ts';
import { inTime } from './deadline.ts';
import type { AppDeps, AppEnv } from './deps.ts';
import { ApiError } from './errors.ts';

/** For so long a key that was good is not looked up again: clients poll. In milliseconds. */
const trustedFor = 1_000;
const maxTrusted = 10_000;

function keyOf(apiKeyHeader: string | undefined, authorization: string | undefined): string | undefined {
  return apiKeyHeader ?? /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
}

/** Lets in requests with an API key, in `X-API-Key` or as `Authorization: Bearer`, and sets `accountId` and `keyHash`. */
export function requireApiKey({ db }: AppDeps) {
  const trusted = new Map<string, { accountId: string; until: number }>();

  async function findAccountId(hash: string): Promise<string | undefined> {
    const known = trusted.get(hash);
    if (known && known.until > performance.now()) return known.accountId;
    const accountId = await findAccountIdByKey(db, hash);
    if (trusted.size >= maxTrusted) trusted.clear();
    if (accountId) trusted.set(hash, { accountId, until: performance.now() + trustedFor });
    return accountId;
  }

  return createMiddleware<AppEnv>(async function requireApiKey(c, next) {
    const key = keyOf(c.req.header('x-api-key'), c.req.header('authorization'));
    const keyHash = key && isWellFormedApiKey(key) ? sha256(key) : undefined;
    const accountId = keyHash && (await inTime(c, findAccountId(keyHash)));
    if (!accountId) {
      const detail = 'Send your API key in the X-API-Key header. Get one with POST /api/v1/auth/register.';
      throw new ApiError('UNAUTHORIZED', detail);
    }
    c.set('accountId', accountId);
    c.set('keyHash', keyHash);
    await next();
  });
}
