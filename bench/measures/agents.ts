import { created } from '../account.ts';
import { ended, repeat, startBareCall, time } from '../load.ts';
import { comparable } from '../measure.ts';
import type { Servers } from '../servers.ts';
import { ms, type Unit } from '../table.ts';

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
  return agents[0]?.agent_id ?? (await created(user.post('/agents', { name: 'bench' }))).agent_id;
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
    const path = await pathOf(servers);
    return { run: await repeat(10, () => time(() => callAgent(servers.url, servers, path))) };
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
    const path = await pathOf(servers);
    const api = await servers.startApi();
    await callAgent(api.url, servers, path);
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

/** Where the agent of the bench is called. */
async function pathOf(servers: Servers): Promise<string> {
  await agentOf(servers);
  const { db, user } = servers;
  const { slug } = await db
    .selectFrom('accounts')
    .select('slug')
    .where('email', '=', user.email)
    .executeTakeFirstOrThrow();
  return `/${slug}/bench/v1/run`;
}

async function callAgent(url: string, { user }: Servers, path: string, form?: FormData): Promise<void> {
  const type = form ? undefined : { 'content-type': 'application/json' };
  const answer = await fetch(url + path, {
    method: 'POST',
    headers: { 'x-api-key': user.api_key, ...type },
    body: form ?? JSON.stringify({ clause: 'Read this clause.' }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${answer.status}: ${text}`);
}
