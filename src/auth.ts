import { createMiddleware } from 'hono/factory';
import { findAccountIdByKey } from '../db/accounts.ts';
import type { AppEnv } from './deps.ts';
import { isWellFormedApiKey, sha256 } from './crypto.ts';
import { ApiError } from './errors.ts';

function keyOf(apiKeyHeader: string | undefined, authorization: string | undefined): string | undefined {
  return apiKeyHeader ?? /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
}

/** Lets in requests with an API key, in `X-API-Key` or as `Authorization: Bearer`, and sets `accountId`. */
export function requireApiKey() {
  return createMiddleware<AppEnv>(async function requireApiKey(c, next) {
    const key = keyOf(c.req.header('x-api-key'), c.req.header('authorization'));
    const accountId = key && isWellFormedApiKey(key) && (await findAccountIdByKey(c.var.deps.db, sha256(key)));
    if (!accountId) {
      const detail = 'Send your API key in the X-API-Key header. Get one with POST /api/v1/auth/register.';
      throw new ApiError('UNAUTHORIZED', detail);
    }
    c.set('accountId', accountId);
    await next();
  });
}
