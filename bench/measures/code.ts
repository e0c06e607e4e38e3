import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { listCodeRuns } from '../../db/code-runs.ts';
import { registerCode } from '../../test/harness/code.ts';
import { until } from '../../test/harness/client.ts';
import { callAgent, created, pathOf } from '../account.ts';
import { ended, time } from '../load.ts';
import { comparable } from '../measure.ts';
import { commandOf } from '../processes.ts';
import type { Servers } from '../servers.ts';
import { ms } from '../table.ts';

const name = 'bench-code';
const program = 'import json, sys\nprint(json.dumps({"sum": sum(json.load(sys.stdin)["numbers"])}))';
const input = { numbers: [1, 2, 3] };
const most = [{ most: 80 }];
const samples = 10;

/**
 * An agent whose output Python makes, beside the same program as a process of this machine, in turn: what is over it is the start over
 * HTTP, the workflow, the sandbox with its bundle and its key, and what is kept. As a run, until its workflow has ended, and as a call,
 * until its answer is there.
 */
export const code = comparable({
  name: 'code of an agent',
  rounds: 6,
  latency_ms: 0,
  rows: {
    alone: { what: 'Python alone, as a process', unit: ms },
    run: { what: 'run of a code agent, over the process', unit: ms, bars: most },
    jail: { what: 'of it the jail', unit: ms },
    call: { what: 'call of a code agent, over the process', unit: ms, bars: most },
  },
  async round(servers) {
    const agent_id = await agentOf(servers);
    const called = await pathOf(servers, name);
    const folder = await mkdtemp(path.join(tmpdir(), 'orchflow-bench-code-'));
    const file = path.join(folder, 'main.py');
    await writeFile(file, program);
    const figures = { alone: [] as number[], run: [] as number[], jail: [] as number[], call: [] as number[] };
    for (let sample = 0; sample < samples; sample += 1) {
      const alone = await time(() => runProgram(file));
      let run_id = '';
      const run = await time(async () => {
        ({ run_id } = await created(servers.user.post(`/agents/${agent_id}/runs`, { input })));
        await ended(servers, run_id, 3);
      });
      const [codeRun] = await listCodeRuns(servers.db, run_id);
      const call = await time(() => callAgent(servers.url, servers, called, JSON.stringify(input)));
      figures.alone.push(alone);
      figures.run.push(run - alone);
      figures.jail.push(codeRun!.wall_ms! - alone);
      figures.call.push(call - alone);
    }
    await rm(folder, { recursive: true });
    return figures;
  },
});

/** A round may find that of the round before. */
async function agentOf({ db, user, processes, url }: Servers): Promise<string> {
  const { agents } = await created(user.get('/agents'));
  const known = agents.find((agent: { name: string }) => agent.name === name);
  if (known) return known.agent_id;
  const { env } = await commandOf(processes.worker);
  const agent_id = await registerCode({ db, env }, user, { 'main.py': program }, { name });
  const health = async () => (await (await fetch(`${url}/health`)).json()) as { code: { status: string } };
  await until(async () => (await health()).code.status === 'ok', 'a worker runs code');
  return agent_id;
}

function runProgram(file: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('/usr/bin/python3', [file], { stdio: ['pipe', 'ignore', 'inherit'] });
    child.once('error', reject);
    child.once('close', () => resolve());
    child.stdin.end(JSON.stringify(input));
  });
}
