import type { Context } from 'hono';
import { reservedSlugs, slugPattern } from '../../accounts/slugs.ts';

/** The first segments of orchagent's own paths: those that a key is needed for, and the others. */
export const keyedSegments = ['agents', 'api-keys', 'org', 'usage', 'users', 'workspaces'];
export const publicSegments = ['auth', 'public'];

/** Those of what is not offered yet. */
const laterSegments = ['billing', 'messages', 'schedules', 'secrets', 'services', 'storage', 'tasks', 'webhooks'];

const own = new Set([...keyedSegments, ...publicSegments, ...laterSegments]);

/** Whether this is a call of an agent, by its path: `/{org}/{agent}/{version}/{endpoint}`. */
export function isCall(c: Context): boolean {
  const [org, ...rest] = c.req.path.slice(1).split('/');
  return rest.length === 3 && slugPattern.test(org!) && !reservedSlugs.has(org!);
}

/** Why a path that orchagent has is none of this server; undefined of all others. */
export function whyNotOffered(c: Context): string | undefined {
  const [, first, second, third] = c.req.path.split('/', 4);
  if (first === 'auth' && ['cli-init', 'cli-exchange'].includes(second!))
    return 'Logging in with a browser is not offered: an account has keys and no password. Use `orch login --key`.';
  const isLater = laterSegments.includes(first!) || (first === 'workspaces' && laterSegments.includes(third!));
  return isLater ? 'This is not offered yet: it comes later.' : undefined;
}

/** Whether this path is one of orchagent's, or looks like a call, so that errors are put into its envelope. */
export function isOrchagent(c: Context): boolean {
  const [first, ...rest] = c.req.path.slice(1).replace(/\/+$/, '').split('/');
  return own.has(first!) || (rest.length === 3 && /^[^.]/.test(first!) && !reservedSlugs.has(first!));
}
