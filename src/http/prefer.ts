import type { Context } from 'hono';
import { z } from 'zod';
import type { AppEnv } from './env.ts';

/** What a client prefers (https://www.rfc-editor.org/rfc/rfc7240). What is not understood is passed over, as it says. */

export const preferHeader = z.object({
  prefer: z.string().optional().meta({
    description: '`wait=N`: the seconds that the answer may wait for (RFC 7240). `respond-async`: none.',
    example: 'wait=30',
  }),
});

/** The seconds that `Prefer` has for the wait, `most` at most; undefined when it says nothing of it. */
export function preferredWait(c: Context<AppEnv>, most: number): number | undefined {
  const preferences = (c.req.header('prefer') ?? '').split(',').map((preference) => preference.split(';')[0]!.trim());
  const [, seconds] = preferences.map((one) => /^wait\s*=\s*"?(\d{1,9})"?$/i.exec(one)).find(Boolean) ?? [];
  if (seconds !== undefined) return Math.min(Number(seconds), most);
  return preferences.some((one) => one.toLowerCase() === 'respond-async') ? 0 : undefined;
}
