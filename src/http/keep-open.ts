import type { Context } from 'hono';
import type { AppEnv } from './env.ts';
import { whenLeft } from './left.ts';
import { HttpError } from './problems.ts';

const retry_after_seconds = 5;

/**
 * For an answer that its client wants kept open: a stream, or a wait. It counts until it is sent, or its client has left.
 * Comes before anything that the request does, since it refuses with 429 what would be one too many.
 */
export function keepOpen(c: Context<AppEnv>): void {
  // A batch is open itself, and its operations end one after the other.
  if (c.env.isInBatch) return;
  const { openAnswers } = c.var.deps;
  const close = openAnswers.take(c.var.principal.account_id);
  if (!close) {
    const detail = `This account has ${openAnswers.most} streams and waits open here, and may have no more. Close one, or try again later.`;
    throw new HttpError('LIMIT_REACHED', detail, { retry_after_seconds });
  }
  whenLeft(c.env, close);
  c.env.place?.leave();
}
