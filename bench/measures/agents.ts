import { callAgent, created, pathOf } from '../account.ts';
import { ended, repeat, startBareCall, time } from '../load.ts';
import { comparable } from '../measure.ts';
import type { Servers } from '../servers.ts';
import { ms, type Unit } from '../table.ts';

const name = 'bench';
/** What it is called with. */
const clause = JSON.stringify({ clause: 'Read this clause.' });

/** The run of one agent without tools: one model call, beside a bare workflow of the same call. Its start over HTTP counts. */
export const agentRun = comparable({
  name: 'run of one agent',
  rounds: 6,
  latency_ms: 0,
  rows: {
    run: {
      what: 'run of one agent, one call of no latency',
      unit: ms,
      bars: [{ most: 1.6, of: 'bare' }],
    },
  },
  async round(servers) {
    const agent_id = await agentOf(servers);
    return { run: await repeat(10, () => time(() => runAgent(servers, agent_id))) };
  },
  bare: async (servers) => ({
    run: await repeat(10, () => time(async () => (await startBareCall(servers)).result())),
  }),
});

/** A round may find that of the round before. */
async function agentOf({ user }: Servers): Promise<string> {
  const { agents } = await created(user.get('/agents'));
  const known = agents.find((agent: { name: string }) => agent.name === name);
  return known?.agent_id ?? (await created(user.post('/agents', { name }))).agent_id;
}

async function runAgent(servers: Servers, agent_id: string): Promise<void> {
  const { run_id } = await created(servers.user.post(`/agents/${agent_id}/runs`, { input: 'Read this clause.' }));
  // It may be over after some thirty.
  await ended(servers, run_id, 3);
}

/** The same agent, called as `org/agent/v1` by a client that waits for its answer. */
export const agentCall = comparable({
  name: 'call of an agent',
  rounds: 6,
  latency_ms: 0,
  rows: {
    run: {
      what: 'call of an agent, one call of no latency',
      unit: ms,
      bars: [{ most: 1.6, of: 'bare' }],
    },
  },
  async round(servers) {
    await agentOf(servers);
    const path = await pathOf(servers, name);
    return { run: await repeat(10, () => time(() => callAgent(servers.url, servers, path, clause))) };
  },
  bare: async (servers) => ({
    run: await repeat(10, () => time(async () => (await startBareCall(servers)).result())),
  }),
});

const mb: Unit = (bytes) => `${(bytes / 1e6).toFixed(0)} MB`;
const fileBytes = 25 * 1024 * 1024;
const watched_ms = 20;

/** Two files of 25 MiB come with a call, at an API that does nothing else. */
export const callWithFiles = comparable({
  name: 'call with files',
  rounds: 1,
  latency_ms: 0,
  rows: {
    growth: { what: 'memory of an API that takes 2 x 25 MiB grows by', unit: mb, bars: [{ most: 60e6 }] },
    took: { what: 'call of an agent with 2 x 25 MiB', unit: ms },
  },
  async round(servers) {
    await agentOf(servers);
    const path = await pathOf(servers, name);
    const api = await servers.startApi();
    await callAgent(api.url, servers, path, clause);
    const before = await api.memory();
    let most = before;
    const watch = setInterval(() => void api.memory().then((now) => (most = Math.max(most, now))), watched_ms);
    const form = new FormData();
    for (const name of ['one.bin', 'two.bin']) form.append('files[]', new File([new Uint8Array(fileBytes)], name));
    const took = await time(() => callAgent(api.url, servers, path, form));
    clearInterval(watch);
    await api.stop();
    return { growth: [most - before], took: [took] };
  },
});
