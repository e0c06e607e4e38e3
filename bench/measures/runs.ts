import { setTimeout as sleep } from 'node:timers/promises';
import { answerSignal } from '../bare/workflows.ts';
import { bare, criticalCalls, ended, inLanes, repeat, run, startBare, startRun, time } from '../load.ts';
import { comparable } from '../measure.ts';
import { cpuTime, total } from '../processes.ts';
import type { Servers } from '../servers.ts';
import { kib, ms, rate } from '../table.ts';

const rest_ms = 500;
const signOff = 'sign-off';

/** Time of one run, alone, minus the latency of the model calls on its critical path. */
export const overhead = comparable({
  name: 'overhead of one run',
  rounds: 5,
  latency_ms: 50,
  rows: {
    run: {
      what: 'overhead of one run',
      unit: ms,
      bars: [
        { most: 1.4, of: 'bare' },
        { most: 0.6, of: 'old' },
      ],
    },
    step: { what: 'overhead per durable step', unit: ms },
  },
  round: (servers) => overheads(servers, () => run(servers)),
  bare: (servers) => overheads(servers, () => bare(servers)),
});

async function overheads({ model }: Servers, work: () => Promise<unknown>) {
  const samples = await repeat(5, async () => (await time(work)) - criticalCalls * model.latency_ms);
  return { run: samples, step: samples.map((sample) => sample / criticalCalls) };
}

/**
 * From the answer to the last gate until the run is completed, minus the latency of the one call between. Both have rested
 * at the gate by then: nothing of what opened it is under way any more.
 */
export const gateToEnd = comparable({
  name: 'gate answered -> completed',
  rounds: 5,
  rows: {
    gate: {
      what: 'gate answered -> run completed',
      unit: ms,
      bars: [
        { most: 1.5, of: 'bare' },
        { most: 0.8, of: 'old' },
      ],
    },
  },
  round: async (servers) => ({ gate: await repeat(6, () => answerGate(servers)) }),
  bare: async (servers) => ({ gate: await repeat(6, () => answerBareGate(servers)) }),
});

async function answerGate(servers: Servers): Promise<number> {
  const waiting = await startRun(servers, { human_gates: [signOff] });
  await waiting.untilWaiting('T5');
  await sleep(rest_ms);
  const took = await time(async () => {
    await waiting.complete('T5', { output: 'Signed.' });
    await ended(servers, waiting.run_id);
  });
  return took - servers.model.latency_ms;
}

async function answerBareGate(servers: Servers): Promise<number> {
  const handle = await startBare(servers, true);
  await sleep(2 * criticalCalls * servers.model.latency_ms + 2 * rest_ms);
  const took = await time(async () => {
    await handle.signal(answerSignal, 'Signed.');
    await handle.result();
  });
  return took - servers.model.latency_ms;
}

/** Runs per second with 20 in flight, and what each takes of the processors. */
export const twentyAtOnce = comparable({
  name: '20 at once',
  rounds: 4,
  rows: {
    rate: {
      what: 'runs per second, 20 at once',
      unit: rate,
      bars: [
        { least: 1.1, of: 'bare' },
        { least: 1.6, of: 'old' },
      ],
    },
    cpu: { what: 'CPU per run, all processes', unit: ms, bars: [{ most: 0.6, of: 'old' }] },
    temporal: { what: 'CPU per run, Temporal', unit: ms },
    worker: { what: 'CPU per run, worker', unit: ms },
    postgres: { what: 'CPU per run, PostgreSQL', unit: ms },
    api: { what: 'CPU per run, API', unit: ms },
  },
  async round(servers) {
    const runs = 100;
    const before = await cpuTime(servers.processes);
    const rate = [await perSecond(runs, 20, () => run(servers))];
    const after = await cpuTime(servers.processes);
    const perRun = (name: keyof typeof after) => [(after[name] - before[name]) / runs];
    return {
      rate,
      cpu: [(total(after) - total(before)) / runs],
      temporal: perRun('temporal'),
      worker: perRun('worker'),
      postgres: perRun('postgres'),
      api: perRun('api'),
    };
  },
  bare: async (servers) => ({ rate: [await perSecond(100, 20, () => bare(servers))] }),
});

/** Runs per second with 200 in flight, and what a finished one leaves on disk. */
export const twoHundredAtOnce = comparable({
  name: '200 at once',
  rounds: 2,
  rows: {
    rate: { what: 'runs per second, 200 at once', unit: rate, bars: [{ least: 1.7, of: 'old' }] },
    temporal: { what: 'bytes per finished run in Temporal', unit: kib },
    postgres: { what: 'bytes per finished run in Postgres', unit: kib },
  },
  async round(servers) {
    const runs = 200;
    const before = await servers.storage();
    const rate = [await perSecond(runs, 200, () => run(servers))];
    const after = await servers.storage();
    const perRun = (store: 'temporal' | 'postgres') => [(after[store] - before[store]) / runs];
    return { rate, temporal: perRun('temporal'), postgres: perRun('postgres') };
  },
  bare: async (servers) => ({ rate: [await perSecond(200, 200, () => bare(servers))] }),
});

async function perSecond(runs: number, at_once: number, work: () => Promise<unknown>): Promise<number> {
  return runs / ((await time(() => inLanes(runs, at_once, work))) / 1000);
}
