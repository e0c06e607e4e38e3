import type { Context } from 'hono';
import type { AppEnv } from './env.ts';

/** Ends an answer that has begun and cannot go on, so that nobody takes what has come for the whole. */
export function breakOff(c: Context<AppEnv>, error: unknown): void {
  c.var.deps.log.warn({ err: error, request_id: c.var.requestId }, 'an answer that had begun is broken off');
  // To HTTP/1.0, which nginx speaks to us, any other end of the line is the end of the answer.
  c.env.outgoing.socket?.resetAndDestroy();
}
