/** All threads that the owner may have are at work, and have been for a while. */
export class NoThreadError extends Error {
  override readonly name = 'NoThreadError';
}

/**
 * Threads that several owners share, `most` at once. An owner may have as many as are free: however much of one never ends, another
 * finds a thread. Who finds none waits for so long, in milliseconds, unless `mostWaiting` of the same owner do.
 */
export function createThreads(most: number, patience: number, mostWaiting = Infinity) {
  const running: string[] = [];
  const waiting: { owner: string; start: () => void }[] = [];

  function mayStart(owner: string): boolean {
    const own = running.filter((other) => other === owner).length;
    return own < most - running.length;
  }

  async function take(owner: string, signal: AbortSignal | undefined): Promise<void> {
    if (mayStart(owner)) {
      running.push(owner);
      return;
    }
    if (waiting.filter((one) => one.owner === owner).length >= mostWaiting) {
      throw new NoThreadError('Enough of this owner waits for a thread.');
    }
    const { promise, resolve: start, reject } = Promise.withResolvers<void>();
    const entry = { owner, start };
    waiting.push(entry);
    const leaveQueue = (reason: unknown) => {
      const place = waiting.indexOf(entry);
      if (place < 0) return;
      waiting.splice(place, 1);
      reject(reason as Error);
    };
    const cancel = () => leaveQueue(signal!.reason);
    signal?.addEventListener('abort', cancel);
    const timer = setTimeout(() => leaveQueue(new NoThreadError('All threads are at work.')), patience);
    await promise.finally(() => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', cancel);
    });
  }

  /** The next that may start takes it: of another owner, where there is one, or two who never end would keep out every third. */
  function leave(owner: string): void {
    running.splice(running.indexOf(owner), 1);
    const ofOther = waiting.findIndex((one) => one.owner !== owner && mayStart(one.owner));
    const next = ofOther >= 0 ? ofOther : waiting.findIndex((one) => mayStart(one.owner));
    if (next < 0) return;
    const [{ owner: its, start }] = waiting.splice(next, 1) as [(typeof waiting)[number]];
    running.push(its);
    start();
  }

  return {
    /** Does it in a thread of the owner, once there is one. @throws NoThreadError, and `signal.reason`, when it has not begun. */
    async run<T>(owner: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
      await take(owner, signal);
      try {
        signal?.throwIfAborted();
        return await work();
      } finally {
        leave(owner);
      }
    },
  };
}
