import { readFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { held } from '../src/node/held.ts';

/** The processes of one build, by their pids. PostgreSQL's is the first of several. */
export type Processes = { api: number; worker: number; temporal: number; postgres: number };
export type ByProcess = Record<keyof Processes, number>;

/** The clock in which Linux counts the time of a process, as every common build of it has it. */
const tick_ms = 10;

/** The CPU time that each has taken since it began, in milliseconds. */
export async function cpuTime(processes: Processes): Promise<ByProcess> {
  const { api, worker, temporal, postgres } = processes;
  const own = (pid: number) => timesOf(pid).own;
  const sessions = await childrenOf(postgres);
  return {
    api: own(api),
    worker: own(worker),
    temporal: own(temporal),
    // The first process counts the time of sessions that have ended.
    postgres: own(postgres) + timesOf(postgres).ended + sum(sessions.map(own)),
  };
}

/** Resident memory in bytes; of PostgreSQL, whose processes share most of theirs, the proportional one of all of them. */
export async function memory(processes: Processes): Promise<ByProcess> {
  const { api, worker, temporal, postgres } = processes;
  const shares = [postgres, ...(await childrenOf(postgres))].map(proportionalMemory);
  return {
    api: await residentMemory(api),
    worker: await residentMemory(worker),
    temporal: await residentMemory(temporal),
    postgres: sum(await Promise.all(shares)),
  };
}

export function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

export const total = (of: ByProcess) => sum(Object.values(of));

/** In bytes. */
export async function residentMemory(pid: number): Promise<number> {
  return kilobytes(await readFile(`/proc/${pid}/status`, 'utf8'), 'VmRSS');
}

/** The most that was resident since the process began, or since its peak began anew. In bytes. */
export async function peakMemory(pid: number): Promise<number> {
  return kilobytes(await readFile(`/proc/${pid}/status`, 'utf8'), 'VmHWM');
}

async function proportionalMemory(pid: number): Promise<number> {
  // A session may end meanwhile.
  return readFile(`/proc/${pid}/smaps_rollup`, 'utf8').then(
    (text) => kilobytes(text, 'Pss'),
    () => 0,
  );
}

function kilobytes(text: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)![1]) * 1024;
}

/** The fields behind the name in parentheses, which may hold spaces and parentheses itself; the state is the first. */
function statOf(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function timesOf(pid: number): { own: number; ended: number } {
  try {
    const [user, system, endedUser, endedSystem] = statOf(pid).slice(11, 15).map(Number);
    return { own: (user! + system!) * tick_ms, ended: (endedUser! + endedSystem!) * tick_ms };
  } catch {
    return { own: 0, ended: 0 }; // it has ended
  }
}

async function childrenOf(parent: number): Promise<number[]> {
  const pids = (await readdir('/proc')).map(Number).filter(Boolean);
  return pids.filter((pid) => {
    try {
      return Number(statOf(pid)[1]) === parent;
    } catch {
      return false;
    }
  });
}

/** How a process was started: its command and its environment. */
export async function commandOf(pid: number): Promise<{ command: string[]; env: Record<string, string> }> {
  const lines = async (name: string) => (await readFile(`/proc/${pid}/${name}`, 'utf8')).split('\0').filter(Boolean);
  const pairs = (await lines('environ')).map((line) => /^([^=]*)=(.*)$/s.exec(line)!.slice(1) as [string, string]);
  // Nobody would let go of it.
  const command = (await lines('cmdline')).filter((word) => word !== held);
  return { command, env: Object.fromEntries(pairs) };
}
