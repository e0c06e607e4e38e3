import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { inLanes, run } from '../load.ts';
import { comparable } from '../measure.ts';
import { sum } from '../processes.ts';
import type { Servers } from '../servers.ts';
import { median, rate } from '../table.ts';

const runs = 20;
const at_once = 5;

/** What a run leaves behind it: events of its history, and what the servers do for each. */
export const traces = comparable({
  name: 'events, fsyncs and statements',
  rounds: 2,
  rows: {
    events: { what: 'events per run', unit: rate, bars: [{ most: 45 }] },
    fsyncs: {
      what: 'fsyncs of Temporal per run',
      unit: (value) => (Number.isNaN(value) ? 'not counted: no strace' : rate(value)),
      bars: [{ most: 45 }],
    },
    statements: { what: 'SQL statements per run', unit: rate },
  },
  async round(servers) {
    const statements = await countStatements(servers, () => inLanes(runs, at_once, () => run(servers)));
    let events: number[] = [];
    const fsyncs = await countFsyncs(servers, async () => {
      events = await inLanes(runs, at_once, async () => historyLength(servers, await run(servers)));
    });
    return { events: [median(events)], fsyncs: [fsyncs / runs], statements: [statements / runs] };
  },
});

async function historyLength({ client }: Servers, run_id: string): Promise<number> {
  return (await client.workflow.getHandle(run_id).describe()).historyLength;
}

/** What PostgreSQL executes meanwhile, as its log says. */
async function countStatements({ db, launcher }: Servers, work: () => Promise<unknown>): Promise<number> {
  const log = path.join(launcher.dir, 'logs', 'postgres.log');
  const reload = async (level: 'all' | 'none') => {
    await sql`alter system set log_statement = ${sql.lit(level)}`.execute(db);
    await sql`select pg_reload_conf()`.execute(db);
    await sleep(500); // until every session has heard of it
  };
  const before = (await readFile(log)).length;
  await reload('all');
  await work();
  await reload('none');
  const lines = (await readFile(log)).subarray(before).toString();
  return lines.match(/ LOG: {2}(?:statement|execute)\b/g)?.length ?? 0;
}

/** Not a number when strace is not there, or may not look. */
async function countFsyncs({ processes }: Servers, work: () => Promise<unknown>): Promise<number> {
  const args = ['-f', '-c', '-e', 'trace=fsync,fdatasync', '-p', String(processes.temporal)];
  const strace = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  strace.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const closed = new Promise<void>((resolve) => strace.once('error', () => resolve()).once('close', () => resolve()));
  await sleep(1_000); // until it is attached to every thread
  await work();
  strace.kill('SIGINT');
  await closed;
  // % time, seconds, µs a call, calls, errors if there were any, name
  const counts = said.matchAll(/^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?f(?:data)?sync$/gm);
  const calls = [...counts].map(([, number]) => Number(number));
  return calls.length > 0 ? sum(calls) : NaN;
}
