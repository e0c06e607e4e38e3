import type { Context } from 'hono';
import { besides } from './deadline.ts';
import type { AppEnv } from './env.ts';
import type { Leave, Turns } from './turns.ts';

const longest_ms = 20_000;

/** For who waits for the turn of a request that takes much memory: until nobody waits for it any more, and 20 seconds at most. */
export const inRow = (signal: AbortSignal) => () => AbortSignal.any([signal, AbortSignal.timeout(longest_ms)]);

/**
 * Waits for that turn among the requests of an account. A client that leaves leaves the row.
 *
 * @throws HttpError 429 after 20 seconds.
 */
export function waitInRow(c: Context<AppEnv>, turns: Turns, key: string): Promise<Leave> {
  return withoutPlace(c, longest_ms, () => turns.enter(key, inRow(c.req.raw.signal)));
}

/** `besides`, without a place among the requests that are worked on. */
export async function withoutPlace<T>(c: Context<AppEnv>, most_ms: number, work: () => Promise<T>): Promise<T> {
  const { place } = c.env;
  place?.leave();
  const done = await besides(c, most_ms, work);
  await place?.enter();
  return done;
}
