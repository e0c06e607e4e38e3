import type { Context } from 'hono';
import { createMiddleware } from 'hono/factory';
import { hasBody } from './body.ts';
import { HttpError } from './problems.ts';

/** Of our own work on a request: with it, an answer or a 503 is there within three seconds. */
const deadline_ms = 2_700;

export type Deadline = ReturnType<typeof createDeadline>;

function createDeadline() {
  const { promise: late, reject } = Promise.withResolvers<never>();
  late.catch(() => {});
  let left = deadline_ms;
  let began = 0;
  let timer: NodeJS.Timeout | undefined;
  return {
    /** Rejects when the time is over. */
    late,
    start() {
      began = performance.now();
      timer = setTimeout(() => {
        const detail = 'No answer in time. Try again; with an Idempotency-Key, nothing is done twice.';
        reject(new HttpError('UNAVAILABLE', detail, { retry_after_seconds: 2 }));
      }, left);
    },
    stop() {
      clearTimeout(timer);
      left -= performance.now() - began;
    },
  };
}

/**
 * Gives up waiting for work of a request when its time is over, with a 503: nothing that is frozen or cut off makes a
 * request hang. What was begun may still be done, as when an answer is lost on its way.
 */
export async function inTime<T>(c: Context, work: Promise<T>): Promise<T> {
  const deadline: Deadline = c.get('deadline') ?? createDeadline();
  c.set('deadline', deadline);
  deadline.start();
  try {
    return await Promise.race([work, deadline.late]);
  } finally {
    deadline.stop();
  }
}

/** Work within `inTime` that may last as long as the client has asked for. */
export async function besides<T>(c: Context, work: Promise<T>): Promise<T> {
  const deadline: Deadline | undefined = c.get('deadline');
  deadline?.stop();
  try {
    return await work;
  } finally {
    deadline?.start();
  }
}

/** `inTime` for all that comes after, once the body is there: a client that sends it slowly takes its own time. */
export function answerInTime() {
  return createMiddleware(async function answerInTime(c, next) {
    if (hasBody(c)) await c.req.text();
    await inTime(c, next());
  });
}
