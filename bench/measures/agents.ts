import { created } from '../account.ts';
import { ended, repeat, startBareCall, time } from '../load.ts';
import { comparable } from '../measure.ts';
import type { Servers } from '../servers.ts';
import { ms } from '../table.ts';

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
