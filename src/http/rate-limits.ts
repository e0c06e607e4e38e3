import { RateLimiterMemory, RateLimiterPostgres, type RateLimiterStoreAbstract } from 'rate-limiter-flexible';
import { createPool } from '../../db/index.ts';
import type { Tier } from '../../db/schema.ts';
import { tierNames, tiers } from '../accounts/tiers.ts';
import type { Config } from '../config.ts';

/** What an account, or an address, may still do. `reset_seconds` from now on it is as at first. */
export type Allowance = { allowed: boolean; limit: number; remaining: number; reset_seconds: number };

export type RateLimit = ReturnType<typeof createRateLimit>;
export type RateLimits = ReturnType<typeof createRateLimits>;

/** A process asks Postgres for a fiftieth of the limit at a time, or for so much of it as is said. */
const batches = 50;
const burstBatches = 5;
const maxLeases = 10_000;

/** The points of a key that this process may still give away, and what it knows of the others. */
type Lease = { points: number; elsewhere: number; ends_at: number; refill?: Promise<void> };

/**
 * At most `limit` requests of a key in a window, over all API processes: the count is in Postgres. A process takes
 * points there in batches, so that a request costs a decrement, and a key at most as many writes a window and process as there
 * are batches; a refused one costs nothing. `what` is limited, in words; `name` is that of the limit, and of its count, which
 * limits of one name share. What a process has taken and does not use is lost to the others until the window ends.
 * Without Postgres each process counts for itself; one that cannot ask it in time does so for that batch.
 */
function createRateLimit(
  storeClient: object,
  {
    name,
    what = name,
    limit,
    window_seconds,
    batches: parts = batches,
  }: { name: string; what?: string; limit: number; window_seconds: number; batches?: number },
) {
  const counted = { keyPrefix: name, points: limit, duration: window_seconds };
  const store: RateLimiterStoreAbstract = new RateLimiterPostgres({
    ...counted,
    storeClient,
    storeType: 'pool',
    tableName: 'rate_limits',
    tableCreated: true,
    insuranceLimiter: new RateLimiterMemory(counted),
  });
  const batch = Math.ceil(limit / parts);
  const leases = new Map<string, Lease>();

  function leaseOf(key: string): Lease {
    const known = leases.get(key);
    if (known && known.ends_at > performance.now()) return known;
    if (leases.size >= maxLeases) leases.clear();
    const lease: Lease = { points: 0, elsewhere: limit, ends_at: Infinity };
    leases.set(key, lease);
    return lease;
  }

  async function refill(key: string, lease: Lease): Promise<void> {
    const { consumedPoints, msBeforeNext } = await store.penalty(key, batch);
    lease.points = Math.max(Math.min(batch, limit - (consumedPoints - batch)), 0);
    lease.elsewhere = Math.max(limit - consumedPoints, 0);
    lease.ends_at = performance.now() + msBeforeNext;
    lease.refill = undefined;
  }

  /** Takes one point of the key. */
  async function take(key: string): Promise<Allowance> {
    for (;;) {
      const lease = leaseOf(key);
      const allowed = lease.points > 0;
      if (allowed) lease.points -= 1;
      if (allowed || lease.elsewhere === 0) {
        const reset_seconds = Math.max(Math.ceil((lease.ends_at - performance.now()) / 1000), 1);
        return { allowed, limit, remaining: lease.points + lease.elsewhere, reset_seconds };
      }
      await (lease.refill ??= refill(key, lease));
    }
  }

  /** Whether this process knows that the key has none left. */
  function isUsedUp(key: string): boolean {
    const lease = leases.get(key);
    return lease !== undefined && lease.ends_at > performance.now() && lease.points + lease.elsewhere === 0;
  }

  return { name, what, limit, window_seconds, take, isUsedUp };
}

/** The limits that are set, on connections of their own: they never wait for a database that is busy or away. */
export function createRateLimits(config: Config) {
  const pool = createPool(config.DATABASE_URL, { max: 2, connectionTimeoutMillis: 1_500, query_timeout: 1_500 });
  const { RATE_LIMIT_PER_MINUTE: perAccount, REGISTER_LIMIT_PER_HOUR: perAddress } = config;
  const { FAILED_KEYS_LIMIT_PER_MINUTE: failures, OAUTH_LIMIT_PER_MINUTE: oauth } = config;
  const { PUBLIC_LIMIT_PER_MINUTE: ofAnybody } = config;
  const perMinute = (name: string) =>
    failures ? createRateLimit(pool, { name, limit: failures, window_seconds: 60 }) : undefined;
  const requests = (limit: number) => createRateLimit(pool, { name: 'requests', limit, window_seconds: 60 });
  const burst = (limit: number) =>
    createRateLimit(pool, { name: 'burst', what: 'requests', limit, window_seconds: 1, batches: burstBatches });
  return {
    perAccount: perAccount ? requests(perAccount) : undefined,
    /** Those of each tier, in the order in which they are asked: what one refuses takes nothing from the next. */
    ofTiers: Object.fromEntries(
      tierNames.map((tier) => [tier, [burst(tiers[tier].per_second), requests(tiers[tier].per_minute)]]),
    ) as Record<Tier, RateLimit[]>,
    perAddress: perAddress
      ? createRateLimit(pool, { name: 'registrations', limit: perAddress, window_seconds: 3_600 })
      : undefined,
    oauthPerAddress: oauth
      ? createRateLimit(pool, { name: 'oauth', what: 'OAuth requests', limit: oauth, window_seconds: 60 })
      : undefined,
    publicPerAddress: ofAnybody
      ? createRateLimit(pool, { name: 'public', what: 'requests without a key', limit: ofAnybody, window_seconds: 60 })
      : undefined,
    failedKeys: perMinute('wrong keys'),
    failedTokens: perMinute('wrong tokens'),
    failedCodes: perMinute('wrong codes'),
    close: () => pool.end(),
  };
}
