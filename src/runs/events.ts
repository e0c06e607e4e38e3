import type { Logger } from 'pino';
import { isUnavailable, type Db } from '../../db/index.ts';
import { listRunPlaces, readEvents, type StoredEvent } from '../../db/run-events.ts';
import { hasEnded, type RunStatus } from '../../workflows/contract/states.ts';
import { bringNews } from './news.ts';
import { createWatchers, type Told, type Watchers } from './watchers.ts';

const heartbeatInterval = 15_000;
const retryDelay = 1_000;
const pageSize = 200;

/**
 * What a reader of a run sees. `event`: stored, in order of `seq`, each once. `delta`: text of an answer that is being
 * written, and `code`: what code does that is run, as far as they get here. `idle`: nothing happened for a while. `ended`: the run has ended, and this is all.
 */
export type RunStreamItem = { event: StoredEvent } | Told | { idle: true } | { ended: RunStatus };

/** For `waitWhile`: while the run has one of these statuses and has not ended, or, unless given, until it has to be looked at. */
export function stays(seen: RunStatus[] = ['pending', 'running']): (status: RunStatus) => boolean {
  return (status) => seen.includes(status) && !hasEnded(status);
}

export type RunEvents = ReturnType<typeof createRunEvents>;

/** The runs that are being watched here: one connection hears of all of them, and the tables say what there is. */
export function createRunEvents({ db, url, log }: { db: Db; url: string; log: Logger }) {
  const watchers = createWatchers();
  const news = bringNews(watchers, { db, url, log });
  const stopping = new AbortController();
  const isOver = (signal: AbortSignal) => signal.aborted || stopping.signal.aborted;

  /**
   * What happens in a run, from after `seq` until it ends, over all gates. Ends without `ended` when the signal is
   * aborted or this process stops: the reader goes on elsewhere from the last `seq` it has. Also when the run is gone.
   */
  async function* follow(run_id: string, seq: number, signal: AbortSignal): AsyncGenerator<RunStreamItem> {
    const watcher = watchers.watch(run_id);
    try {
      while (!isOver(signal)) {
        for (let told = watcher.takeTold(); told; told = watcher.takeTold()) yield told;
        if (!watcher.takeNews()) {
          if (!(await watcher.woken(heartbeatInterval, signal))) yield { idle: true };
          continue;
        }
        const page = await readPage(db, run_id, seq);
        if (!page) return;
        if (page === 'is_away') {
          yield* watcher.takeAllTold();
          await watcher.woken(retryDelay, signal);
          watcher.wake();
          continue;
        }
        for (const event of page.events) {
          yield { event };
          seq = event.seq;
        }
        if (page.events.length === pageSize) watcher.wake();
        else if (hasEnded(page.status)) return yield* endOf(watcher, page.status);
      }
    } finally {
      watchers.unwatch(run_id, watcher);
    }
  }

  /**
   * Resolves as soon as `holds` is not true of the run's status, and at the latest after the time; with false when there is no more
   * waiting, for the signal is aborted, or this process stops.
   */
  async function waitWhile(
    run_id: string,
    holds: (status: RunStatus) => boolean,
    { timeout_ms, signal }: { timeout_ms: number; signal: AbortSignal },
  ): Promise<boolean> {
    const end = performance.now() + timeout_ms;
    const watcher = watchers.watch(run_id);
    try {
      while (!isOver(signal) && performance.now() < end) {
        // What is told of it besides changes no status.
        if (watcher.takeNews() && !(await isAt(db, run_id, holds))) break;
        watcher.takeAllTold();
        await watcher.woken(Math.max(end - performance.now(), 0), signal);
      }
      return !isOver(signal);
    } finally {
      watchers.unwatch(run_id, watcher);
    }
  }

  return {
    follow,
    waitWhile,
    /** By which others see that whoever waits here is waited for. */
    listener: news.listener,
    /** How many readers a run has here. */
    watchers: watchers.count,
    /** Ends all that follows and waits; each reader is told by the end of its answer. */
    async stop() {
      stopping.abort();
      watchers.wakeAll();
      await news.stop();
    },
  };
}

type Watcher = ReturnType<Watchers['watch']>;

async function isAt(db: Db, run_id: string, holds: (status: RunStatus) => boolean): Promise<boolean> {
  const [place] = await listRunPlaces(db, [run_id]);
  return place !== undefined && holds(place.status);
}

function* endOf(watcher: Watcher, ended: RunStatus): Generator<RunStreamItem> {
  yield* watcher.takeAllTold();
  yield { ended };
}

/** While Postgres is away, readers are held, for a browser never comes back to an answer that failed. */
async function readPage(db: Db, run_id: string, seq: number) {
  try {
    return await readEvents(db, run_id, seq, pageSize);
  } catch (error) {
    if (!isUnavailable(error)) throw error;
    return 'is_away';
  }
}
