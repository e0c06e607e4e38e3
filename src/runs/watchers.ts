import type { CodeNews, Delta, LiveMessage } from '../../db/live.ts';

/** Texts that wait for a slow reader, in UTF-16 code units; those beyond are dropped. */
const maxWaitingText = 64 * 1024;

/** What is told of a run and stored nowhere. */
export type Told = { delta: Delta } | { code: CodeNews };

export type Watchers = ReturnType<typeof createWatchers>;

/** All who wait here for news of runs, by run. Where the news comes from is no matter of theirs. */
export function createWatchers() {
  /** `place`: where the run stood at the last look, if there was one since somebody waits. */
  const runs = new Map<string, { watchers: Set<Watcher>; place?: string }>();

  function watch(run_id: string): Watcher {
    const watcher = createWatcher();
    if (!runs.has(run_id)) runs.set(run_id, { watchers: new Set() });
    runs.get(run_id)!.watchers.add(watcher);
    return watcher;
  }

  function unwatch(run_id: string, watcher: Watcher): void {
    const watchers = runs.get(run_id)?.watchers;
    watchers?.delete(watcher);
    if (!watchers?.size) runs.delete(run_id);
  }

  function hear({ run_id, delta, code }: LiveMessage): void {
    for (const watcher of runs.get(run_id)?.watchers ?? []) {
      if (delta) watcher.hear({ delta });
      else if (code) watcher.hear({ code });
      else watcher.wake();
    }
  }

  /** Wakes those of a run that stands elsewhere than at the last look. */
  function wakeIfMoved(run_id: string, place: string): void {
    const run = runs.get(run_id);
    if (!run || run.place === place) return;
    run.place = place;
    for (const watcher of run.watchers) watcher.wake();
  }

  function wakeAll(): void {
    for (const { watchers } of runs.values()) for (const watcher of watchers) watcher.wake();
  }

  return {
    watch,
    unwatch,
    /** The runs that somebody waits for. */
    runIds: () => [...runs.keys()],
    count: (run_id: string) => runs.get(run_id)?.watchers.size ?? 0,
    hear,
    wakeIfMoved,
    wakeAll,
  };
}

type Watcher = ReturnType<typeof createWatcher>;

/** One who waits for news of a run. At first there is news: all that happened so far. */
function createWatcher() {
  let hasNews = true;
  let told: Told[] = [];
  let waitingText = 0;
  let ring: (() => void) | undefined;

  return {
    wake(): void {
      hasNews = true;
      ring?.();
    },
    hear(one: Told): void {
      const length = lengthOf(one);
      if (waitingText + length > maxWaitingText) return;
      waitingText += length;
      told.push(one);
      ring?.();
    },
    /** The next one; none while there is news and it is the first of its kind: what happened before that is told before it. */
    takeTold(): Told | undefined {
      if (hasNews && told[0] && isFirst(told[0])) return undefined;
      const one = told.shift();
      if (one) waitingText -= lengthOf(one);
      return one;
    },
    /** All that are there. */
    takeAllTold(): Told[] {
      const all = told;
      told = [];
      waitingText = 0;
      return all;
    },
    /** Taken before a look: what comes from then on is news again. */
    takeNews(): boolean {
      const had = hasNews;
      hasNews = false;
      return had;
    },
    /** Resolves when something comes, after the time, or when the signal is aborted. False when nothing came. */
    async woken(timeout_ms: number, signal: AbortSignal): Promise<boolean> {
      const isWoken = () => hasNews || told.length > 0 || signal.aborted;
      if (!isWoken()) {
        const { promise, resolve } = Promise.withResolvers<void>();
        const timer = setTimeout(resolve, timeout_ms);
        ring = resolve;
        signal.addEventListener('abort', ring);
        await promise;
        clearTimeout(timer);
        signal.removeEventListener('abort', ring);
        ring = undefined;
      }
      return isWoken();
    },
  };
}

/** A step counts too, so that those are bounded. */
function lengthOf(told: Told): number {
  if ('delta' in told) return told.delta.text.length;
  return 'text' in told.code ? told.code.text.length : 100;
}

function isFirst(told: Told): boolean {
  return 'delta' in told ? told.delta.offset === 0 : told.code.type === 'sandbox_start';
}
