import { setTimeout as sleep } from 'node:timers/promises';
import { WorkflowNotFoundError } from '@temporalio/client';
import autocannon from 'autocannon';
import { until } from '../test/harness/client.ts';
import { answerSignal, bareRun } from './bare/workflows.ts';
import type { Servers } from './servers.ts';
import { compare, median, ms, percentile, type Row } from './table.ts';

const latency_ms = 50;
const rest_ms = 500;
/** split, infer, three times execute and evaluate, finalize: one after another. */
const criticalCalls = 9;
const agents = [{ name: 'research' }, { name: 'analyst' }, { name: 'writer' }];
const signOff = 'sign-off';
const goal = 'Compare the market and write a report.';

let bareCount = 0;

function startRun({ user }: Servers, more: object = {}) {
  return user.startRun({ task: goal, agents, ...more });
}

function startBare({ client, bareQueue }: Servers, gate = false) {
  bareCount += 1;
  return client.workflow.start(bareRun, {
    workflowId: `bare_${bareCount}`,
    taskQueue: bareQueue,
    args: [{ goal, gate }],
  });
}

/**
 * Resolves when the workflow has ended. The API starts it after its answer, so it may not be there yet; asking again after
 * the time of a model call is long before its end, and costs Temporal little.
 */
async function ended({ client }: Servers, run_id: string): Promise<void> {
  for (;;) {
    try {
      return void (await client.workflow.getHandle(run_id).result());
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
      await sleep(latency_ms);
    }
  }
}

async function time(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

const run = async (servers: Servers) => ended(servers, (await startRun(servers)).run_id);
const bare = async (servers: Servers) => (await startBare(servers)).result();

/** Time of one run, alone, minus the latency of the model calls on its critical path. */
export async function overhead(servers: Servers, rounds: number): Promise<Row[]> {
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    ours.push((await time(() => run(servers))) - criticalCalls * latency_ms);
    theirs.push((await time(() => bare(servers))) - criticalCalls * latency_ms);
  }
  const [a, b] = [median(ours), median(theirs)];
  return [
    compare('overhead of one run', a, b, ms, { most: 1.4 }),
    compare('overhead per durable step', a / criticalCalls, b / criticalCalls, ms),
  ];
}

/**
 * From the answer to the last gate until the run is completed, minus the latency of the one call between. Both have rested
 * at the gate by then: nothing of what opened it is under way any more.
 */
export async function gateToEnd(servers: Servers, rounds: number): Promise<Row[]> {
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const waiting = await startRun(servers, { human_gates: [signOff] });
    await waiting.untilWaiting('T5');
    await sleep(rest_ms);
    const took = await time(async () => {
      await waiting.complete('T5', { output: 'Signed.' });
      await ended(servers, waiting.run_id);
    });
    ours.push(took - latency_ms);
    const handle = await startBare(servers, true);
    await sleep(2 * criticalCalls * latency_ms + rest_ms);
    theirs.push(
      (await time(async () => {
        await handle.signal(answerSignal, 'Signed.');
        await handle.result();
      })) - latency_ms,
    );
  }
  return [compare('gate answered -> run completed', median(ours), median(theirs), ms, { most: 1.5 })];
}

/** 20 connections post a run each at once; then a rest until these runs have ended, in Temporal too. */
export async function postRuns(servers: Servers, rounds: number): Promise<Row[]> {
  const connections = 20;
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    times.push(...(await postAtOnce(servers, connections)));
    const runs = await servers.db
      .selectFrom('runs')
      .select('run_id')
      .orderBy('created_at', 'desc')
      .limit(connections)
      .execute();
    await Promise.all(runs.map(({ run_id }) => ended(servers, run_id)));
    await sleep(rest_ms);
  }
  const p99 = percentile(times, 0.99);
  return [
    { what: 'POST /runs, 20 at once, p50', orchflow: ms(percentile(times, 0.5)) },
    { what: 'POST /runs, 20 at once, p99', orchflow: ms(p99), bar: '< 50 ms', holds: p99 < 50 },
  ];
}

/** The milliseconds that each answer took. */
async function postAtOnce({ url, user }: Servers, connections: number): Promise<number[]> {
  const times: number[] = [];
  const options: autocannon.Options = {
    url: `${url}/api/v1/runs`,
    connections,
    amount: connections,
    method: 'POST',
    headers: { 'x-api-key': user.api_key, 'content-type': 'application/json' },
    body: JSON.stringify({ task: goal, agents }),
  };
  await new Promise((resolve) => {
    const load = autocannon(options, resolve);
    load.on('response', (_client, status, _bytes, took) => times.push(status === 201 ? took : Infinity));
  });
  return times;
}

/** Runs per second with so many in flight, and what a finished one leaves on disk. */
export async function throughput(
  servers: Servers,
  { at_once, runs, rounds }: { at_once: number; runs: number; rounds: number },
): Promise<Row[]> {
  async function perSecond(work: (servers: Servers) => Promise<unknown>): Promise<number> {
    let left = runs;
    const lane = async () => {
      while (left-- > 0) await work(servers);
    };
    const took = await time(() => Promise.all(Array.from({ length: at_once }, lane)));
    return runs / (took / 1000);
  }
  const ours: number[] = [];
  const theirs: number[] = [];
  const bytes: { postgres: number; temporal: number }[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const before = await servers.storage();
    ours.push(await perSecond(run));
    const after = await servers.storage();
    bytes.push({
      postgres: (after.postgres - before.postgres) / runs,
      temporal: (after.temporal - before.temporal) / runs,
    });
    theirs.push(await perSecond(bare));
  }
  const bar = at_once === 20 ? { least: 0.7 } : {};
  const perRun = (store: 'postgres' | 'temporal') => `${(median(bytes.map((b) => b[store])) / 1024).toFixed(0)} KiB`;
  return [
    compare(`runs per second, ${at_once} at once`, median(ours), median(theirs), (value) => value.toFixed(1), bar),
    ...(at_once === 200
      ? [
          { what: 'bytes per finished run in Temporal', orchflow: perRun('temporal') },
          { what: 'bytes per finished run in Postgres', orchflow: perRun('postgres') },
        ]
      : []),
  ];
}

/** Reads of one run by 16 connections, while others are busy with slow model calls. */
export async function readRuns(
  servers: Servers,
  { active, seconds }: { active: number; seconds: number },
): Promise<Row[]> {
  const slow = { task: 'Compare the market slowly and write a report.' };
  const runs = await Promise.all(Array.from({ length: active }, () => startRun(servers, slow)));
  await Promise.all(runs.map((one) => one.until((view) => view.phase === 'execute')));
  const { requests, latency, non2xx } = await autocannon({
    url: `${servers.url}/api/v1/runs/${runs[0]!.run_id}`,
    connections: 16,
    duration: seconds,
    headers: { 'x-api-key': servers.user.api_key },
  });
  await Promise.all(runs.map(({ run_id }) => ended(servers, run_id)));
  if (non2xx) throw new Error(`${non2xx} reads failed.`);
  return [
    {
      what: `GET /runs/{id} per second, ${active} runs active`,
      orchflow: requests.average.toFixed(0),
      bar: '≥ 1000',
      holds: requests.average >= 1_000,
    },
    { what: 'GET /runs/{id} p99', orchflow: ms(latency.p99), bar: '< 20 ms', holds: latency.p99 < 20 },
  ];
}

export async function memoryOfWaitingRuns(servers: Servers, count: number): Promise<Row[]> {
  const runs = await Promise.all(
    Array.from({ length: count }, () => startRun(servers, { ask_me_about: ['the audience'] })),
  );
  await Promise.all(runs.map((one) => one.untilWaiting('T1')));
  const { api, worker } = await servers.memory();
  await Promise.all(runs.map((one) => one.cancel()));
  const mib = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(0)} MiB`;
  return [
    { what: `memory of the worker, ${count} runs waiting`, orchflow: mib(worker) },
    { what: `memory of the API, ${count} runs waiting`, orchflow: mib(api) },
  ];
}

/** SIGKILL of a worker amid slow calls, with another one there: how soon the first of its calls is asked again. */
export async function takeover(servers: Servers, count: number): Promise<Row[]> {
  const { calls } = servers;
  servers.startWorker();
  await sleep(5_000);
  const runs = await Promise.all(
    Array.from({ length: count }, (_, index) =>
      startRun(servers, { task: `[run:kill${index}] Compare the market slowly and write a report.` }),
    ),
  );
  await until(() => calls.length >= count, 'every run has called its model');
  const inFlight = new Set(calls.map(({ call }) => call));
  servers.worker.kill('SIGKILL');
  const killed_at = Date.now();
  await Promise.all(runs.map(({ run_id }) => ended(servers, run_id)));

  const seen = new Map<string, number[]>();
  for (const { call, at } of calls) seen.set(call, [...(seen.get(call) ?? []), at]);
  const repeated = [...seen].filter(([, times]) => times.length > 1);
  const unexplained = repeated.filter(([call, times]) => !inFlight.has(call) || times.length > 2).length;
  const waits = repeated.map(([, times]) => times[1]! - killed_at);
  const slowest = Math.max(0, ...waits);
  return [
    {
      what: `model calls repeated after SIGKILL, of ${inFlight.size} in flight`,
      orchflow: String(repeated.length),
      bar: 'none but those in flight',
      holds: unexplained === 0,
    },
    { what: 'takeover after SIGKILL, slowest', orchflow: ms(slowest), bar: '< 10 s', holds: slowest < 10_000 },
  ];
}
