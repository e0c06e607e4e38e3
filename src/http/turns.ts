import { HttpError } from './problems.ts';

/** Work that takes much memory, one at a time for each key, in the order in which it was asked for. */
export function createTurns() {
  const last = new Map<string, Promise<void>>();

  /**
   * Whoever is not waited for any more leaves its place in the row.
   *
   * @throws HttpError 429 when `signal` is aborted before it is its turn.
   */
  async function take<T>(key: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const before = last.get(key);
    const { promise: isOver, resolve: leave } = Promise.withResolvers<void>();
    const done = Promise.all([before, isOver]).then(() => {
      if (last.get(key) === done) last.delete(key);
    });
    last.set(key, done);
    try {
      await Promise.race([before, whenAborted(signal)]);
      return await work();
    } finally {
      leave();
    }
  }

  return { take };
}

function whenAborted(signal?: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  const detail = 'Others of this account are under way, and take their turns. Try again.';
  const refuse = () => reject(new HttpError('LIMIT_REACHED', detail, { retry_after_seconds: 5 }));
  promise.catch(() => {});
  if (signal?.aborted) refuse();
  else signal?.addEventListener('abort', refuse, { once: true });
  return promise;
}
