import type { Context } from 'hono';
import type { AppEnv } from './env.ts';
import { HttpError } from './problems.ts';

const retry_after_seconds = 5;

export type OpenAnswers = ReturnType<typeof createOpenAnswers>;

/** How many answers of each account are kept open here, in this process: at most `most`. */
export function createOpenAnswers(most: number) {
  const open = new Map<string, number>();

  /** Counts one more. Returns the function that takes it back, once; undefined when there may be no more. */
  function take(account_id: string): (() => void) | undefined {
    const own = open.get(account_id) ?? 0;
    if (own >= most) return undefined;
    open.set(account_id, own + 1);
    let isOpen = true;
    return () => {
      if (!isOpen) return;
      isOpen = false;
      const left = open.get(account_id)! - 1;
      if (left > 0) open.set(account_id, left);
      else open.delete(account_id);
    };
  }

  return { take, most };
}

/**
 * For an answer that its client wants kept open: a stream, or a wait. It counts until it is sent, or its client has left.
 * Comes before anything that the request does, since it refuses with 429 what would be one too many.
 */
export function keepOpen(c: Context<AppEnv>): void {
  const { openAnswers } = c.var.deps;
  const { incoming, outgoing } = c.env;
  const close = openAnswers.take(c.var.principal.account_id);
  if (!close) {
    const detail = `This account has ${openAnswers.most} streams and waits open here, and may have no more. Close one, or try again later.`;
    throw new HttpError('LIMIT_REACHED', detail, { retry_after_seconds });
  }
  if (outgoing.closed || incoming.socket.destroyed) return close();
  outgoing.once('close', close);
  // Of requests that were sent one after another on a connection that is lost, only the first answer is closed.
  incoming.socket.once('close', close);
  outgoing.once('close', () => incoming.socket.off('close', close));
}
