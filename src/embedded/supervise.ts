import { setTimeout as sleep } from 'node:timers/promises';
import type { Report, RunningProcess } from './processes.ts';

const longestPauseMs = 30_000;
const healthyAfterMs = 60_000;

export interface Supervised {
  /** Ends the process for good. */
  stop(): Promise<void>;
}

/**
 * Starts the process again whenever it ends by itself: after 1 s, and twice as long each time that it ends young.
 * @param running the first one, already started
 */
export function supervise(options: {
  name: string;
  running: RunningProcess;
  start: () => Promise<RunningProcess>;
  logFile: string;
  report: Report;
}): Supervised {
  const { name, start, logFile, report } = options;
  const stopping = new AbortController();
  let { running } = options;

  async function keep() {
    for (let pause = 1000; ; pause = Math.min(pause * 2, longestPauseMs)) {
      const startedAt = Date.now();
      const how = await running.exited;
      if (stopping.signal.aborted) return;
      if (Date.now() - startedAt > healthyAfterMs) pause = 1000;
      report(`${name} ended (${how}); starting it again in ${pause / 1000} s. Its log: ${logFile}`);
      await sleep(pause, undefined, { signal: stopping.signal });
      try {
        running = await start();
        if (stopping.signal.aborted) return;
        report(`${name} runs again (pid ${running.pid})`);
      } catch (error) {
        report(`${name} did not start: ${(error as Error).message}`);
      }
    }
  }

  const kept = keep().catch((error: unknown) => {
    if (!stopping.signal.aborted) throw error;
  });
  return {
    async stop() {
      stopping.abort();
      await running.stop();
      await kept;
      await running.stop(); // the one that was starting meanwhile
    },
  };
}
