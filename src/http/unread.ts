import type { ServerResponse } from 'node:http';
import { createMiddleware } from 'hono/factory';
import type { AppEnv } from './env.ts';
import { HttpError } from './problems.ts';

/** Of the answers of an account that were made and not read yet, in each process, in bytes. One answer may have 16 MiB. */
const most = 32 * 1024 * 1024;
const retry_after_seconds = 5;

export type Unread = ReturnType<typeof createUnread>;

/** What answers hold that nobody reads: of them the kernel takes no more than some megabytes. */
export function createUnread() {
  const answers = new Map<string, Set<ServerResponse>>();

  /** Counts this answer until it is sent, or its client has left. */
  function add(account_id: string, answer: ServerResponse): void {
    if (answer.closed) return;
    const own = answers.get(account_id) ?? new Set();
    answers.set(account_id, own.add(answer));
    answer.once('close', () => {
      own.delete(answer);
      if (own.size === 0 && answers.get(account_id) === own) answers.delete(account_id);
    });
  }

  /** In bytes. */
  function sizeOf(account_id: string): number {
    return [...(answers.get(account_id) ?? [])].reduce((sum, answer) => sum + answer.writableLength, 0);
  }

  return { add, sizeOf };
}

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
