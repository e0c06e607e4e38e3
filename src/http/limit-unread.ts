import type { ServerResponse } from 'node:http';
import type { Context } from 'hono';
import { createMiddleware } from 'hono/factory';
import type { AppEnv } from './env.ts';
import { HttpError } from './problems.ts';

/** Of the answers of an account that were made and not read yet, in each process, in bytes. One answer may have 16 MiB. */
const most = 16 * 1024 * 1024;
const retry_after_seconds = 5;

/**
 * Refuses with 429 what comes while the account has left too much unread. Of requests that come at once each is answered before any
 * is sent: those that have only read are refused then.
 */
export function limitUnread() {
  return createMiddleware<AppEnv>(async function limitUnread(c, next) {
    if (c.env.isInBatch) return next();
    requireRead(c);
    c.var.deps.unread.add(c.var.principal.account_id, c.env.outgoing as ServerResponse);
    await next();
    if (c.req.method !== 'GET') return;
    try {
      requireRead(c);
    } catch (error) {
      // It may be a stream, or a file.
      await c.res.body?.cancel();
      throw error;
    }
  });
}

/** Why an answer to a start is not what has become of its run, in words for its client. */
export function howItGoesOn(failure?: unknown): string {
  const isUnread = failure instanceof HttpError && failure.code === 'LIMIT_REACHED';
  return isUnread ? `What has become of the run is not told here. ${failure.message}` : 'The run goes on.';
}

/** Comes before an answer is made that may be long. Throws 429 while the account has left too much unread; never within a batch. */
export function requireRead(c: Context<AppEnv>): void {
  if (c.env.isInBatch || c.var.deps.unread.sizeOf(c.var.principal.account_id) <= most) return;
  const detail = `This account has more than ${most / 1024 ** 2} MiB of answers here that it has not read. Read them, or close their connections.`;
  throw new HttpError('LIMIT_REACHED', detail, { retry_after_seconds });
}
