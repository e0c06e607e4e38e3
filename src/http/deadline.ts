import type { Context } from 'hono';
import { createMiddleware } from 'hono/factory';
import { HttpError } from './problems.ts';

/**
 * For our own work on a request. An answer is promised within three seconds: the second between them is for a timer that
 * fires late because the machine is busy, and for an answer that has yet to be sent.
 */
const deadline_ms = 2_000;

export type Deadline = ReturnType<typeof createDeadline>;

/** Counts what a request takes from its receipt on. What its client is waited for does not count. */
export function createDeadline(received = performance.now()) {
  const { promise: late, reject } = Promise.withResolvers<never>();
  late.catch(() => {});
  let waitedBefore = 0;
  let waiting: { began: number; most_ms: number } | undefined;
  let timer: NodeJS.Timeout | undefined;

  function waited(): number {
    const now = waiting ? Math.min(performance.now() - waiting.began, waiting.most_ms) : 0;
    return waitedBefore + now;
  }

  const worked = () => performance.now() - received - waited();

  function arm(more_ms = 0): void {
    clearTimeout(timer);
    // The time of a body has no end here: `listen` cuts a client that is too slow with it.
    if (more_ms !== Infinity) timer = setTimeout(expire, Math.max(deadline_ms - worked() + more_ms, 0));
  }

  function expire(): void {
    const detail = 'No answer in time. Try again; with an Idempotency-Key, nothing is done twice.';
    reject(new HttpError('UNAVAILABLE', detail, { retry_after_seconds: 2 }));
  }

  arm();
  return {
    /** Rejects when the time is over. */
    late,
    worked,
    waited,
    /** Does not count the work, up to `most_ms`. Within another such work that is how long the other may take. */
    async besides<T>(most_ms: number, work: () => Promise<T>): Promise<T> {
      if (waiting) return work();
      arm(most_ms);
      waiting = { began: performance.now(), most_ms };
      try {
        return await work();
      } finally {
        waitedBefore = waited();
        waiting = undefined;
        arm();
      }
    },
    end: () => clearTimeout(timer),
  };
}

/** Every request has one, from its receipt on. */
function deadlineOf(c: Context): Deadline {
  return c.get('deadline') as Deadline;
}

/**
 * Gives up waiting for work of a request when its time is over, with a 503: nothing that is frozen or cut off makes a
 * request hang. What was begun may still be done, as when an answer is lost on its way.
 */
export function inTime<T>(c: Context, work: Promise<T>): Promise<T> {
  return Promise.race([work, deadlineOf(c).late]);
}

/** Work that lasts as long as the client makes it: `most_ms` that it has asked for, or until its body is there. */
export function besides<T>(c: Context, most_ms: number, work: () => Promise<T>): Promise<T> {
  return deadlineOf(c).besides(most_ms, work);
}

/** `inTime` for all that comes after. */
export function answerInTime() {
  return createMiddleware(async function answerInTime(c, next) {
    await inTime(c, next()).finally(deadlineOf(c).end);
  });
}

/** `Server-Timing` (https://www.w3.org/TR/server-timing/): `app` is our own work, `wait` what the client was waited for. */
export function serverTiming({ worked, waited }: Deadline): string {
  const parts = { app: worked(), wait: waited() };
  // Whole milliseconds tell nobody apart what is not there and what is another's.
  const shown = Object.entries(parts).map(([name, ms]) => `${name};dur=${Math.round(ms)}`);
  return shown.slice(0, waited() < 1 ? 1 : 2).join(', ');
}
