import type { Context } from 'hono';
import { createMiddleware } from 'hono/factory';
import { clientAddress } from './client-address.ts';
import { inTime } from './deadline.ts';
import type { AppEnv } from './env.ts';
import { HttpError } from './problems.ts';
import type { RateLimit } from './rate-limits.ts';

/**
 * Refuses a request with 429 when its account, or its address, has used up the limit. Every answer says what is left: in
 * `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11), and in `X-RateLimit-*` (reset in
 * seconds since 1970). Without a limit it costs nothing.
 */
export function limit(rateLimit: RateLimit | undefined, keyOf: (c: Context<AppEnv>) => string) {
  return createMiddleware<AppEnv>(async function limit(c, next) {
    if (!rateLimit) return next();
    const { name, window_seconds } = rateLimit;
    const { allowed, limit: quota, remaining, reset_seconds } = await inTime(c, rateLimit.take(keyOf(c)));
    c.header('RateLimit-Policy', `"${name}";q=${quota};w=${window_seconds}`);
    c.header('RateLimit', `"${name}";r=${remaining};t=${reset_seconds}`);
    c.header('X-RateLimit-Limit', String(quota));
    c.header('X-RateLimit-Remaining', String(remaining));
    c.header('X-RateLimit-Reset', String(Math.ceil(Date.now() / 1000) + reset_seconds));
    if (!allowed) throw usedUp(rateLimit, reset_seconds);
    await next();
  });
}

/** Counts what an address has sent wrong. Refuses it with 429 when that was too often. */
export async function countFailure(c: Context<AppEnv>, rateLimit: RateLimit | undefined): Promise<void> {
  if (!rateLimit) return;
  const { allowed, reset_seconds } = await inTime(c, rateLimit.take(addressOf(c)));
  if (!allowed) throw usedUp(rateLimit, reset_seconds);
}

/**
 * For secrets that people may have chosen: counts a wrong one of an address, and refuses the right one too while that address
 * has sent too many. Without that, guessing would only look limited.
 */
export async function countGuess(
  c: Context<AppEnv>,
  rateLimit: RateLimit | undefined,
  isRight: boolean,
): Promise<void> {
  if (!isRight || rateLimit?.isUsedUp(addressOf(c))) await countFailure(c, rateLimit);
}

export function addressOf(c: Context<AppEnv>): string {
  return clientAddress(c, c.var.deps.config.TRUSTED_PROXIES);
}

function usedUp({ name, limit: quota, window_seconds }: RateLimit, reset_seconds: number): HttpError {
  const detail = `At most ${quota} ${name} in ${window_seconds} seconds. Try again in ${reset_seconds} seconds.`;
  return new HttpError('RATE_LIMITED', detail, { retry_after_seconds: reset_seconds });
}
