import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { listCodeRuns } from '../../db/code-runs.ts';
import { registerCode } from '../../test/harness/code.ts';
import { until } from '../../test/harness/client.ts';
import { created } from '../account.ts';
import { ended, time } from '../load.ts';
import { commandOf } from '../processes.ts';
import type { Servers } from '../servers.ts';
import { makeRow, median, ms, type Row } from '../table.ts';

/**
 * The run of an agent whose output Python makes, beside the same program as a process of this machine, in turn: what is over it is the
 * start over HTTP, the workflow, the sandbox with its bundle and its key, and what is kept.
 */
export async function code(servers: Servers): Promise<Row[]> {
  const { env } = await commandOf(servers.processes.worker);
  const program = 'import json, sys\nprint(json.dumps({"sum": sum(json.load(sys.stdin)["numbers"])}))';
  const { db } = servers;
  const agent_id = await registerCode({ db, env }, servers.user, { 'main.py': program }, { name: 'bench-code' });
  const health = async () => (await (await fetch(`${servers.url}/health`)).json()) as { code: { status: string } };
  await until(async () => (await health()).code.status === 'ok', 'a worker runs code');
  const folder = await mkdtemp(path.join(tmpdir(), 'orchflow-bench-code-'));
  const file = path.join(folder, 'main.py');
  await writeFile(file, program);

  const alone: number[] = [];
  const runs: number[] = [];
  const inside: number[] = [];
  for (let round = 0; round < 60; round += 1) {
    alone.push(await time(() => runProgram(file)));
    let run_id = '';
    runs.push(
      await time(async () => {
        const input = { numbers: [1, 2, 3] };
        ({ run_id } = await created(servers.user.post(`/agents/${agent_id}/runs`, { input })));
        await ended(servers, run_id, 3);
      }),
    );
    const [codeRun] = await listCodeRuns(servers.db, run_id);
    inside.push(codeRun!.wall_ms!);
  }
  await rm(folder, { recursive: true });
  const over = runs.map((took, round) => took - alone[round]!);
  const jail = inside.map((took, round) => took - alone[round]!);
  return [
    makeRow({ what: 'Python alone, as a process', unit: ms, of: median }, { now: [alone] }),
    makeRow({ what: 'run of a code agent, over the process', unit: ms, bars: [{ most: 80 }] }, { now: [over] }),
    makeRow({ what: 'of it the jail', unit: ms }, { now: [jail] }),
  ];
}

function runProgram(file: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('/usr/bin/python3', [file], { stdio: ['pipe', 'ignore', 'inherit'] });
    child.once('error', reject);
    child.once('close', () => resolve());
    child.stdin.end('{"numbers": [1, 2, 3]}');
  });
}
