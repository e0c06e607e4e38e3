import type { Context } from 'hono';
import { reservedSlugs, slugPattern } from '../../accounts/slugs.ts';

/** The first segments of orchagent's own paths: those that a key is needed for, and the others. */
export const keyedSegments = ['agents', 'api-keys', 'org', 'usage', 'users', 'workspaces'];
export const publicSegments = ['auth', 'public'];

const own = new Set([...keyedSegments, ...publicSegments]);

/** Whether this is a call of an agent, by its path: `/{org}/{agent}/{version}/{endpoint}`. */
export function isCall(c: Context): boolean {
  const [org, ...rest] = c.req.path.slice(1).split('/');
  return rest.length === 3 && slugPattern.test(org!) && !reservedSlugs.has(org!);
}

/** Whether this path is one of orchagent's, so that errors are put into its envelope. */
export function isOrchagent(c: Context): boolean {
  const [, first] = c.req.path.split('/', 2);
  return own.has(first!) || isCall(c);
}
