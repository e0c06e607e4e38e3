import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { isUnavailable, type Db } from '../../db/index.ts';
import { listenLive, type Delta, type LiveMessage } from '../../db/live.ts';
import { listRunPlaces, readEvents, type StoredEvent } from '../../db/run-events.ts';
import { isFinished } from '../../db/runs.ts';
import type { RunStatus } from '../../workflows/contract/states.ts';

/** What is lost of NOTIFY is found this late. */
const sweepInterval = 3_000;
const heartbeatInterval = 15_000;
const retryDelay = 1_000;
const pageSize = 200;
/** Deltas that wait for a slow reader, in UTF-16 code units; those beyond are dropped. */
const maxWaitingText = 64 * 1024;

/**
 * What a reader of a run sees. `event`: stored, in order of `seq`, each once. `delta`: text of an answer that is being
 * written, as far as it gets here. `idle`: nothing happened for a while. `ended`: the run has ended, and this is all.
 */
export type RunStreamItem = { event: StoredEvent } | { delta: Delta } | { idle: true } | { ended: RunStatus };

export type RunEvents = ReturnType<typeof createRunEvents>;

/** The runs that are being watched here: one connection hears of all of them, and the tables say what there is. */
export function createRunEvents({ db, url, log }: { db: Db; url: string; log: Logger }) {
  const watchers = new Map<string, Set<Watcher>>();
  const places = new Map<string, string>();
  const stopping = new AbortController();

  function hear({ run_id, delta }: LiveMessage): void {
    for (const watcher of watchers.get(run_id) ?? []) {
      if (delta) watcher.hear(delta);
      else watcher.wake();
    }
  }

  function wakeAll(): void {
    for (const set of watchers.values()) for (const watcher of set) watcher.wake();
  }

  const listener = listenLive(url, {
    onMessage: hear,
    onConnect: wakeAll,
    onLost: (error) => log.warn({ err: error }, 'lost the connection that hears of runs; looking every few seconds'),
  });

  /** One look at all runs that are watched, whoever slept through what was told of them. */
  async function sweep(): Promise<void> {
    while (!stopping.signal.aborted) {
      await sleep(sweepInterval, undefined, { signal: stopping.signal, ref: false }).catch(() => {});
      if (!watchers.size) continue;
      const found = await listRunPlaces(db, [...watchers.keys()]).catch(() => []);
      for (const { run_id, status, event_seq } of found) {
        const place = `${status} ${event_seq}`;
        if (places.get(run_id) === place) continue;
        if (watchers.has(run_id)) places.set(run_id, place);
        hear({ run_id });
      }
    }
  }
  const sweeping = sweep();

  function watch(run_id: string): Watcher {
    const watcher = createWatcher();
    if (!watchers.has(run_id)) watchers.set(run_id, new Set());
    watchers.get(run_id)!.add(watcher);
    return watcher;
  }

  function unwatch(run_id: string, watcher: Watcher): void {
    const set = watchers.get(run_id);
    set?.delete(watcher);
    if (set?.size) return;
    watchers.delete(run_id);
    places.delete(run_id);
  }

  /**
   * What happens in a run, from after `seq` until it ends, over all gates. Ends without `ended` when the signal is
   * aborted or this process stops: the reader goes on elsewhere from the last `seq` it has.
   */
  async function* follow(run_id: string, seq: number, signal: AbortSignal): AsyncGenerator<RunStreamItem> {
    const watcher = watch(run_id);
    const isOver = () => signal.aborted || stopping.signal.aborted;
    try {
      while (!isOver()) {
        for (let delta = watcher.takeDelta(); delta; delta = watcher.takeDelta()) yield { delta };
        if (!watcher.takeNews()) {
          const isWoken = await watcher.woken(heartbeatInterval, signal);
          if (!isWoken) yield { idle: true };
          continue;
        }
        const page = await read(run_id, seq);
        if (!page) {
          await watcher.woken(retryDelay, signal);
          watcher.wake();
          continue;
        }
        for (const event of page.events) {
          yield { event };
          seq = event.seq;
        }
        if (page.events.length === pageSize) watcher.wake();
        else if (isFinished(page.status)) return yield { ended: page.status };
      }
    } finally {
      unwatch(run_id, watcher);
    }
  }

  /** Undefined while Postgres is away: readers are held, for a browser never comes back to an answer that failed. */
  async function read(run_id: string, seq: number) {
    try {
      return await readEvents(db, run_id, seq, pageSize);
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      return undefined;
    }
  }

  /** Resolves as soon as `holds` is not true of the run's status, and at the latest after the time. */
  async function waitWhile(
    run_id: string,
    holds: (status: RunStatus) => boolean,
    { timeout_ms, signal }: { timeout_ms: number; signal: AbortSignal },
  ): Promise<void> {
    const end = performance.now() + timeout_ms;
    const watcher = watch(run_id);
    try {
      while (!signal.aborted && !stopping.signal.aborted && performance.now() < end) {
        watcher.takeNews();
        const [place] = await listRunPlaces(db, [run_id]);
        if (!place || !holds(place.status)) return;
        while (watcher.takeDelta());
        await watcher.woken(end - performance.now(), signal);
      }
    } finally {
      unwatch(run_id, watcher);
    }
  }

  return {
    follow,
    waitWhile,
    /** How many readers a run has here. */
    watchers: (run_id: string) => watchers.get(run_id)?.size ?? 0,
    /** Ends all that follows and waits; each reader is told by the end of its answer. */
    async stop() {
      stopping.abort();
      wakeAll();
      await Promise.all([listener.stop(), sweeping]);
    },
  };
}

type Watcher = ReturnType<typeof createWatcher>;

/** One who waits for news of a run. At first there is news: all that happened so far. */
function createWatcher() {
  let hasNews = true;
  let deltas: Delta[] = [];
  let waitingText = 0;
  let ring: (() => void) | undefined;

  return {
    wake(): void {
      hasNews = true;
      ring?.();
    },
    hear(delta: Delta): void {
      if (waitingText + delta.text.length > maxWaitingText) return;
      waitingText += delta.text.length;
      deltas.push(delta);
      ring?.();
    },
    takeDelta(): Delta | undefined {
      const delta = deltas.shift();
      waitingText -= delta?.text.length ?? 0;
      return delta;
    },
    /** Taken before a look: what comes from then on is news again. */
    takeNews(): boolean {
      const had = hasNews;
      hasNews = false;
      return had;
    },
    /** Resolves when something comes, after the time, or when the signal is aborted. False when nothing came. */
    async woken(timeout_ms: number, signal: AbortSignal): Promise<boolean> {
      const isWoken = () => hasNews || deltas.length > 0 || signal.aborted;
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
