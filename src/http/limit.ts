import type { Context } from 'hono';
import { createMiddleware } from 'hono/factory';
import { clientAddress } from './client-address.ts';
import { inTime } from './deadline.ts';
import type { AppEnv } from './env.ts';
import { HttpError } from './problems.ts';
import type { RateLimit, RateLimits } from './rate-limits.ts';

/**
 * Refuses a request with 429 when its account, or its address, has used up one of the limits, which are asked one after
 * another. Every answer says what is left: in `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11) of
 * each that was asked, and in `X-RateLimit-*` (reset in seconds since 1970) of the last. Without a limit it costs nothing.
 */
export function limit(
  limitsOf: (c: Context<AppEnv>) => readonly (RateLimit | undefined)[],
  keyOf: (c: Context<AppEnv>) => string,
) {
  return createMiddleware<AppEnv>(async function limit(c, next) {
    const policies: string[] = [];
    const left: string[] = [];
    for (const rateLimit of limitsOf(c)) {
      if (!rateLimit) continue;
      const { name, window_seconds } = rateLimit;
      const { allowed, limit: quota, remaining, reset_seconds } = await inTime(c, rateLimit.take(keyOf(c)));
      policies.push(`"${name}";q=${quota};w=${window_seconds}`);
      left.push(`"${name}";r=${remaining};t=${reset_seconds}`);
      c.header('RateLimit-Policy', policies.join(', '));
      c.header('RateLimit', left.join(', '));
      c.header('X-RateLimit-Limit', String(quota));
      c.header('X-RateLimit-Remaining', String(remaining));
      c.header('X-RateLimit-Reset', String(Math.ceil(Date.now() / 1000) + reset_seconds));
      if (!allowed) throw usedUp(rateLimit, reset_seconds);
    }
    await next();
  });
}

/** All keys of an account together, on all surfaces: with more keys it may not do more. */
export function limitAccount({ ofTiers, perAccount }: RateLimits) {
  return limit(
    ({ var: { principal } }) => (principal.tier ? ofTiers[principal.tier] : [perAccount]),
    ({ var: { principal } }) => principal.account_id,
  );
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

function usedUp({ what, limit: quota, window_seconds }: RateLimit, reset_seconds: number): HttpError {
  const detail = `At most ${quota} ${what} in ${inSeconds(window_seconds)}. Try again in ${inSeconds(reset_seconds)}.`;
  return new HttpError('RATE_LIMITED', detail, { retry_after_seconds: reset_seconds });
}

function inSeconds(seconds: number): string {
  return `${seconds} second${seconds === 1 ? '' : 's'}`;
}
