import type { Context } from 'hono';
import { createMiddleware } from 'hono/factory';
import type { AppEnv } from './deps.ts';
import { ApiError } from './errors.ts';

/** Of our own work on a request: with it, an answer or a 503 is there within three seconds. */
const deadline_ms = 2_500;

/**
 * Gives up waiting for work of a request when its time is over, with a 503: nothing that is frozen or cut off makes a
 * request hang. What was begun may still be done, as when an answer is lost on its way.
 */
export async function inTime<T>(c: Context<AppEnv>, work: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const began = performance.now();
  const left = c.var.msLeft ?? deadline_ms;
  const timer = setTimeout(() => {
    const detail = 'No answer in time. Try again; with an Idempotency-Key, nothing is done twice.';
    reject(new ApiError('UNAVAILABLE', detail, { retry_after_seconds: 2 }));
  }, left);
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    c.set('msLeft', left - (performance.now() - began));
  }
}

/** `inTime` for all that comes after, once the body is there: a client that sends it slowly takes its own time. */
export function answerInTime() {
  return createMiddleware<AppEnv>(async function answerInTime(c, next) {
    await c.req.text();
    await inTime(c, next());
  });
}
