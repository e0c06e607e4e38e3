import type { ServerResponse } from 'node:http';
import { createMiddleware } from 'hono/factory';
import type { AppEnv } from './env.ts';
import { HttpError } from './problems.ts';

/** Of the answers of an account that were made and not read yet, in each process, in bytes. One answer may have 16 MiB. */
const most = 32 * 1024 * 1024;
const retry_after_seconds = 5;

/**
 * Refuses with 429 what comes while the account has left too much unread. Of requests that come at once each is answered before any
 * is sent: those that have only read are refused then.
 */
export function limitUnread() {
  return createMiddleware<AppEnv>(async function limitUnread(c, next) {
    if (c.env.isInBatch) return next();
    const { unread } = c.var.deps;
    const { account_id } = c.var.principal;
    if (unread.sizeOf(account_id) > most) throw tooMuch();
    unread.add(account_id, c.env.outgoing as ServerResponse);
    await next();
    if (c.req.method !== 'GET' || unread.sizeOf(account_id) <= most) return;
    // It may be a stream, or a file.
    await c.res.body?.cancel();
    throw tooMuch();
  });
}

function tooMuch(): HttpError {
  const detail = `This account has more than ${most / 1024 ** 2} MiB of answers here that it has not read. Read them, or close their connections.`;
  return new HttpError('LIMIT_REACHED', detail, { retry_after_seconds });
}
