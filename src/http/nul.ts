import { createMiddleware } from 'hono/factory';
import { unstorable } from '../../workflows/contract/form.ts';
import { InvalidInputError } from '../errors.ts';
import type { AppEnv } from './env.ts';

/** Refuses a NUL in a query: Postgres stores none, and finds nothing by one. In a path none of our ids has one. */
export function refuseNul() {
  return createMiddleware<AppEnv>(async function refuseNul(c, next) {
    if (!c.req.url.includes('%00')) return next();
    const given = Object.entries(c.req.queries());
    const wrong = given.filter(([name, values]) => [name, ...values].some((text) => text.includes('\0')));
    if (wrong.length > 0) throw new InvalidInputError(wrong.map(([name]) => ({ path: [name], detail: unstorable })));
    await next();
  });
}
