import { setTimeout as sleep } from 'node:timers/promises';
import autocannon from 'autocannon';
import { agents, ended, goal, slowGoal, startRun } from '../load.ts';
import { comparable } from '../measure.ts';
import type { Servers } from '../servers.ts';
import { count, ms, p99 } from '../table.ts';

const rest_ms = 500;

/** 20 connections post a run each at once; then a rest until these runs have ended, in Temporal too. */
export const postRuns = comparable({
  name: 'POST /runs',
  rounds: 5,
  rows: {
    half: { what: 'POST /runs, 20 at once, p50', unit: ms },
    most: { what: 'POST /runs, 20 at once, p99', unit: ms, of: p99, bars: [{ most: 50 }, { most: 0.7, of: 'old' }] },
  },
  async round(servers) {
    const times: number[] = [];
    for (let burst = 0; burst < 3; burst += 1) times.push(...(await burstOfRuns(servers, 20)));
    return { half: times, most: times };
  },
});

async function burstOfRuns(servers: Servers, connections: number): Promise<number[]> {
  const times = await postAtOnce(servers, connections);
  const { body } = await servers.user.get(`/runs?limit=${connections}`);
  await Promise.all(body.runs.map(({ run_id }: { run_id: string }) => ended(servers, run_id)));
  await sleep(rest_ms);
  return times;
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

const active = 50;

/** Reads of one run by 16 connections, while others are busy with slow model calls. */
export const readRuns = comparable({
  name: 'GET /runs/{id}',
  rounds: 3,
  rows: {
    rate: { what: `GET /runs/{id} per second, ${active} runs active`, unit: count, bars: [{ least: 1_000 }] },
    most: { what: 'GET /runs/{id} p99', unit: ms, bars: [{ most: 20 }] },
  },
  async round(servers) {
    const runs = await Promise.all(Array.from({ length: active }, () => startRun(servers, { task: slowGoal })));
    await Promise.all(runs.map((one) => one.until((view) => view.phase === 'execute')));
    const { requests, latency, non2xx } = await autocannon({
      url: `${servers.url}/api/v1/runs/${runs[0]!.run_id}`,
      connections: 16,
      duration: 5,
      headers: { 'x-api-key': servers.user.api_key },
    });
    await Promise.all(runs.map(({ run_id }) => ended(servers, run_id)));
    if (non2xx) throw new Error(`${non2xx} reads failed.`);
    return { rate: [requests.average], most: [latency.p99] };
  },
});
