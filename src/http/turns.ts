/** Work that takes much memory, one at a time for each key, in the order in which it was asked for. */
export function createTurns() {
  const last = new Map<string, Promise<unknown>>();

  async function take<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = last.get(key);
    const done = (async () => {
      await before?.catch(() => {});
      return work();
    })();
    last.set(key, done);
    try {
      return await done;
    } finally {
      if (last.get(key) === done) last.delete(key);
    }
  }

  return { take };
}
