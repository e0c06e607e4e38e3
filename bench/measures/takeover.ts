import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../../test/harness/client.ts';
import { ended, slowGoal, startRun } from '../load.ts';
import { comparable } from '../measure.ts';
import type { Servers } from '../servers.ts';
import { count, ms } from '../table.ts';

const inFlight = 10;
let kills = 0;

/** SIGKILL of a worker amid slow calls, with another one there: how soon the first of its calls is asked again. */
export const takeover = comparable({
  name: 'takeover',
  rounds: 2,
  ownServers: true,
  rows: {
    slowest: {
      what: 'takeover after SIGKILL, slowest',
      unit: ms,
      bars: [{ most: 10_000 }, { most: 1.05, of: 'old' }],
    },
    repeated: { what: `model calls repeated after SIGKILL, of ${inFlight} in flight`, unit: count },
    unexplained: { what: 'of them not in flight, or more than once', unit: count, bars: [{ most: 0 }] },
  },
  async round(servers) {
    const own = await servers.another();
    try {
      return await killWorker(own);
    } finally {
      await own.stop();
    }
  },
});

async function killWorker(servers: Servers) {
  const { calls } = servers.model;
  await servers.startWorker();
  await sleep(5_000);
  kills += 1;
  const marker = `kill${kills}x`;
  const own = () => calls.filter(({ call }) => call.startsWith(marker));
  const runs = await Promise.all(
    Array.from({ length: inFlight }, (_, index) => startRun(servers, { task: `[run:${marker}${index}] ${slowGoal}` })),
  );
  await until(() => own().length >= inFlight, 'every run has called its model');
  const open = new Set(own().map(({ call }) => call));
  process.kill(servers.processes.worker, 'SIGKILL');
  const killed_at = Date.now();
  await Promise.all(runs.map(({ run_id }) => ended(servers, run_id)));

  const repeated = [...Map.groupBy(own(), ({ call }) => call)].filter(([, times]) => times.length > 1);
  const unexplained = repeated.filter(([call, times]) => !open.has(call) || times.length > 2).length;
  const waits = repeated.map(([, times]) => times[1]!.at - killed_at);
  return { slowest: [Math.max(0, ...waits)], repeated: [repeated.length], unexplained: [unexplained] };
}
