import { createMiddleware } from 'hono/factory';
import { findAccountIdByKey } from '../../db/accounts.ts';
import { isWellFormedApiKey, sha256 } from '../crypto.ts';
import { inTime } from './deadline.ts';
import type { AppDeps, AppEnv } from '../deps.ts';
import { ApiError } from './problems.ts';

/** For so long a key that was good is not looked up again: clients poll. In milliseconds. */
const trustedFor = 1_000;
const maxTrusted = 10_000;

function keyOf(apiKeyHeader: string | undefined, authorization: string | undefined): string | undefined {
  return apiKeyHeader ?? /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
}

type Account = { accountId: string; keyHash: string };

/** Lets in requests with an API key, in `X-API-Key` or as `Authorization: Bearer`, and sets `accountId` and `keyHash`. */
export function requireApiKey({ db }: AppDeps) {
  const lookUps = new Map<string, { account: Promise<Account | undefined>; until: number }>();

  /** Requests with one key that come at once, or soon after, share one look-up. */
  function findAccount(key: string): Promise<Account | undefined> {
    const known = lookUps.get(key);
    if (known && known.until > performance.now()) return known.account;
    const account = lookUp(key);
    if (lookUps.size >= maxTrusted) lookUps.clear();
    lookUps.set(key, { account, until: performance.now() + trustedFor });
    const forget = () => lookUps.delete(key);
    account.then((found) => found ?? forget(), forget);
    return account;
  }

  async function lookUp(key: string): Promise<Account | undefined> {
    const keyHash = sha256(key);
    const accountId = await findAccountIdByKey(db, keyHash);
    return accountId ? { accountId, keyHash } : undefined;
  }

  return createMiddleware<AppEnv>(async function requireApiKey(c, next) {
    const key = keyOf(c.req.header('x-api-key'), c.req.header('authorization'));
    const account = key && isWellFormedApiKey(key) ? await inTime(c, findAccount(key)) : undefined;
    if (!account) {
      const detail = 'Send your API key in the X-API-Key header. Get one with POST /api/v1/auth/register.';
      throw new ApiError('UNAUTHORIZED', detail);
    }
    c.set('accountId', account.accountId);
    c.set('keyHash', account.keyHash);
    await next();
  });
}
