import type { Context } from 'hono';
import { besides } from './deadline.ts';
import type { AppEnv } from './env.ts';
import type { Leave, Turns } from './turns.ts';

const longest_ms = 20_000;

/**
 * Waits for the turn of a request that takes much memory, among those of its account: no part of our own time, and without a place
 * among those that are worked on. A client that leaves leaves the row.
 *
 * @throws HttpError 429 after 20 seconds.
 */
export async function waitInRow(c: Context<AppEnv>, turns: Turns, key: string): Promise<Leave> {
  const { place } = c.env;
  place?.leave();
  const signalOf = () => AbortSignal.any([c.req.raw.signal, AbortSignal.timeout(longest_ms)]);
  const leave = await besides(c, longest_ms, () => turns.enter(key, signalOf));
  await place?.enter();
  return leave;
}
