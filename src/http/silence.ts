import type { Context } from 'hono';
import { besides } from './deadline.ts';
import type { AppEnv } from './env.ts';

/**
 * `besides`, where nothing moves on the connection meanwhile, as its client knows: who reads nothing is cut, and who is sent nothing
 * is not. For the sending of the answer that holds again.
 */
export async function inSilence<T>(c: Context<AppEnv>, most_ms: number, work: () => Promise<T>): Promise<T> {
  const { socket } = c.env.incoming;
  socket.setTimeout(0);
  try {
    return await besides(c, most_ms, work);
  } finally {
    socket.setTimeout(c.var.deps.config.HTTP_SEND_TIMEOUT_SECONDS * 1000);
  }
}
