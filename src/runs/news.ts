import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Db } from '../../db/index.ts';
import { listenLive } from '../../db/live-listener.ts';
import { listRunPlaces } from '../../db/run-events.ts';
import type { Watchers } from './watchers.ts';

/** What is lost of NOTIFY is found this late. */
const sweepInterval = 3_000;

/**
 * Brings watchers the news of their runs, until it is stopped: one connection hears of all runs, and a sweep finds what
 * it has missed.
 */
export function bringNews(watchers: Watchers, { db, url, log }: { db: Db; url: string; log: Logger }) {
  const stopping = new AbortController();

  const live = listenLive(url, {
    onMessage: (message) => watchers.hear(message),
    onConnect: () => watchers.wakeAll(),
    onLost: (error) => log.warn({ err: error }, 'lost the connection that hears of runs; looking every few seconds'),
  });

  /** One look at all runs that are watched, whoever slept through what was told of them. */
  async function sweep(): Promise<void> {
    while (!stopping.signal.aborted) {
      await sleep(sweepInterval, undefined, { signal: stopping.signal, ref: false }).catch(() => {});
      const run_ids = watchers.runIds();
      if (!run_ids.length) continue;
      const found = await listRunPlaces(db, run_ids).catch(() => []);
      for (const { run_id, status, event_seq } of found) watchers.wakeIfMoved(run_id, `${status} ${event_seq}`);
    }
  }
  const sweeping = sweep();

  return {
    /** The number under which this process listens. */
    listener: live.listener,
    async stop() {
      stopping.abort();
      await Promise.all([live.stop(), sweeping]);
    },
  };
}
