import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunningProcess } from '../src/embedded/processes.ts';
import type { ServerName } from './servers.ts';

export type Server = ReturnType<typeof createServer>;

/** One process under our hand. It is started again when it ends by itself, as an operator's supervisor does. */
export function createServer(
  name: ServerName,
  report: (line: string) => void,
  {
    startAgain,
    isReady = () => true,
    first,
  }: {
    startAgain: () => Promise<RunningProcess>;
    isReady?: (started: RunningProcess) => boolean;
    first?: RunningProcess;
  },
) {
  const crashes: string[] = [];
  let frozen = false;
  let starting: Promise<void> | undefined;
  let running: RunningProcess | undefined;
  if (first) watch(first);

  function watch(started: RunningProcess): void {
    running = started;
    void started.exited.then(async (how) => {
      if (running !== started) return;
      running = undefined;
      crashes.push(`${how}: ${started.lastWords().slice(-500)}`);
      report(`${name} ended by itself (${how})`);
      await sleep(1_000);
      await start();
    });
  }

  /** Starts or thaws it; does nothing when it runs. Resolves when PostgreSQL or Temporal answer, for others at once. */
  async function start(): Promise<void> {
    thaw();
    if (running) return;
    starting ??= startAgain()
      .then(watch)
      .finally(() => (starting = undefined));
    await starting;
  }

  /** Resolves when it takes work. How long a process needs for that after its start is a matter of the machine. */
  async function ready(): Promise<void> {
    while (!running || !isReady(running)) await sleep(50);
  }

  async function kill(): Promise<void> {
    await starting;
    const killed = running;
    if (!killed) return;
    running = undefined;
    frozen = false;
    signalAll(killed.pid, 'SIGCONT');
    process.kill(killed.pid, 'SIGKILL');
    await killed.exited;
  }

  function freeze(): void {
    if (!running) return;
    frozen = true;
    signalAll(running.pid, 'SIGSTOP');
  }

  function thaw(): void {
    if (frozen && running) signalAll(running.pid, 'SIGCONT');
    frozen = false;
  }

  return { name, crashes, start, ready, kill, freeze, thaw, pid: () => running?.pid };
}

/** PostgreSQL is a process for each connection. */
function signalAll(pid: number, signal: NodeJS.Signals): void {
  for (const one of [pid, ...childrenOf(pid)]) {
    try {
      process.kill(one, signal);
    } catch {
      // It has ended meanwhile.
    }
  }
}

function childrenOf(pid: number): number[] {
  if (process.platform === 'linux') {
    // A bare machine has no `ps`.
    return readdirSync('/proc')
      .filter((name) => parentOf(name) === pid)
      .map(Number);
  }
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n');
  const pairs = lines.map((line) => line.trim().split(/\s+/).map(Number));
  return pairs.filter(([, parent]) => parent === pid).map(([child]) => child!);
}

function parentOf(name: string): number | undefined {
  try {
    const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
    // The name in parentheses may hold spaces; after it come the state and the parent.
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return undefined;
  }
}
