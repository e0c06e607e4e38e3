import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { until } from '../../test/harness/client.ts';
import { ended, inLanes, run, startRun } from '../load.ts';
import { comparable } from '../measure.ts';
import { cpuTime, memory, total, type ByProcess } from '../processes.ts';
import type { Servers } from '../servers.ts';
import { count, mib, percent } from '../table.ts';

const rest_ms = 5_000;
/** For so long there is still something to be done for the runs that have just begun to wait. */
const settling_ms = 20_000;
const idle_ms = 20_000;
const answered = 50;

/** Memory of a build that has just been started, has done one run, and then has so many that wait for a person. */
export const waitingRuns = comparable({
  name: 'memory of waiting runs',
  rounds: 1,
  ownServers: true,
  rows: {
    idle: { what: 'memory of the worker, idle', unit: mib },
    idleApi: { what: 'memory of the API, idle', unit: mib },
    idleSum: { what: 'memory of all processes, idle', unit: mib },
    worker: { what: 'memory of the worker, 200 runs waiting', unit: mib, bars: [{ most: 340 * 1024 ** 2 }] },
    api: { what: 'memory of the API, 200 runs waiting', unit: mib },
    ...rowsOf('2,000', 950),
  },
  round: (servers) =>
    withOwnServers(servers, async (own) => {
      await run(own);
      const idle = await afterRest(own);
      const first = await startWaiting(own, 200);
      const some = await afterRest(own);
      const others = await startWaiting(own, 1_800);
      return {
        idle: [idle.worker],
        idleApi: [idle.api],
        idleSum: [total(idle)],
        worker: [some.worker],
        api: [some.api],
        ...(await figuresOf(own, [...first, ...others])),
      };
    }),
});

export const tenThousandRuns = comparable({
  name: '10,000 waiting runs',
  rounds: 1,
  ownServers: true,
  onlyByName: true,
  rows: rowsOf('10,000', 1.15 * 1024),
  round: (servers) => withOwnServers(servers, async (own) => figuresOf(own, await startWaiting(own, 10_000))),
});

/** `most`: MiB of all processes together. */
function rowsOf(runs: string, most: number) {
  return {
    sum: { what: `memory of all processes, ${runs} runs waiting`, unit: mib, bars: [{ most: most * 1024 ** 2 }] },
    sumWorker: { what: `memory of the worker, ${runs} runs waiting`, unit: mib },
    sumApi: { what: `memory of the API, ${runs} runs waiting`, unit: mib },
    sumTemporal: { what: `memory of Temporal, ${runs} runs waiting`, unit: mib },
    sumPostgres: { what: `memory of PostgreSQL, ${runs} runs waiting`, unit: mib },
    cpu: { what: `of a core, ${runs} runs waiting`, unit: percent, bars: [{ most: 2 }] },
    completed: {
      what: `of ${answered} that are answered at random, completed`,
      unit: count,
      bars: [{ least: answered }],
    },
  };
}

async function withOwnServers<T>(servers: Servers, work: (own: Servers) => Promise<T>): Promise<T> {
  const own = await servers.another();
  try {
    return await work(own);
  } finally {
    await own.stop();
  }
}

/** In bytes, when what came before has settled. */
async function afterRest({ processes }: Servers): Promise<ByProcess> {
  await sleep(rest_ms);
  return memory(processes);
}

type Waiting = Awaited<ReturnType<typeof startRun>>;

async function startWaiting(servers: Servers, runs: number): Promise<Waiting[]> {
  const isWaiting = async () => {
    const { rows } = await sql<{ waiting: number }>`
      select count(*)::int as waiting from runs where status = 'waiting_human'`.execute(servers.db);
    return rows[0]!.waiting;
  };
  const before = await isWaiting();
  const started = await inLanes(runs, 10, () => startRun(servers, { ask_me_about: ['the audience'] }));
  await until(async () => (await isWaiting()) >= before + runs, 'every run waits', 60_000 + runs * 1_000);
  return started;
}

async function figuresOf(servers: Servers, waiting: Waiting[]) {
  const { worker, api, temporal, postgres, ...rest } = await afterRest(servers);
  await sleep(settling_ms);
  const before = total(await cpuTime(servers.processes));
  await sleep(idle_ms);
  const cpu = ((total(await cpuTime(servers.processes)) - before) / idle_ms) * 100;
  return {
    sum: [total({ worker, api, temporal, postgres, ...rest })],
    sumWorker: [worker],
    sumApi: [api],
    sumTemporal: [temporal],
    sumPostgres: [postgres],
    cpu: [cpu],
    completed: [await answerSome(servers, waiting)],
  };
}

/** How many of those that are answered complete. */
async function answerSome(servers: Servers, waiting: Waiting[]): Promise<number> {
  const left = [...waiting];
  const some = Array.from({ length: answered }, () => left.splice(Math.floor(Math.random() * left.length), 1)[0]!);
  const views = await inLanes(some.length, 10, async (index) => {
    const one = some[index]!;
    await one.complete('T1', { output: 'Freelancers.' });
    await ended(servers, one.run_id);
    return one.get();
  });
  return views.filter(({ status }) => status === 'completed').length;
}
