import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Limits } from './job.ts';
import { startOf } from './processes.ts';

/**
 * Control groups, by which Linux counts the memory and the processes of a job together. Of version 1 they are made where the
 * process may (as root); of version 2 in a folder that the operator has delegated. Without any, memory is watched in /proc.
 */

export type Groups = {
  version: 1 | 2;
  /** For the memory, the processes and the processor: of version 2 they are one. */
  memory: string;
  pids: string;
  cpu: string | undefined;
};

export type Group = {
  /** The files into which a process writes its pid to be counted. */
  procs: string[];
  /** From now on its processes have together at most so much. */
  limit: (limits: Limits) => void;
  measure: () => { cpu_ms: number; ran_out: boolean };
  kill: () => void;
  remove: () => Promise<void>;
};

const root = '/sys/fs/cgroup';
const prefix = 'orchflow-job-';
/** What watches over a job inside it is not counted as its own. */
const ownProcesses = 6;

/** Where groups can be made; undefined where they cannot. `delegated` is a folder of version 2. */
export function findGroups(delegated: string | undefined): Groups | undefined {
  if (process.platform !== 'linux') return undefined;
  const groups = delegated ? ofVersion2(delegated) : ofVersion1();
  return groups && mayMake(groups) ? groups : undefined;
}

function ofVersion2(folder: string): Groups | undefined {
  const controllers = readOr(path.join(folder, 'cgroup.subtree_control')).split(/\s+/);
  if (!controllers.includes('memory') || !controllers.includes('pids')) return undefined;
  return { version: 2, memory: folder, pids: folder, cpu: folder };
}

function ofVersion1(): Groups | undefined {
  const own = readOr('/proc/self/cgroup')
    .split('\n')
    .map((line) => line.split(':'));
  const folderOf = (controller: string) => {
    const at = own.find(([, names]) => names?.split(',').includes(controller))?.[2];
    // Inside a container the path may be that of the host.
    const places = [path.join(root, controller, at ?? ''), path.join(root, controller)];
    return places.find((place) => existsSync(path.join(place, 'cgroup.procs')));
  };
  const [memory, pids] = [folderOf('memory'), folderOf('pids')];
  return memory && pids ? { version: 1, memory, pids, cpu: folderOf('cpuacct') } : undefined;
}

function mayMake(groups: Groups): boolean {
  const probe = nameOf('probe');
  const folders = foldersOf(groups, probe);
  try {
    for (const folder of folders) mkdirSync(folder, { recursive: true });
    limit(groups, probe, { memory_bytes: 64 * 1024 * 1024, processes: 1 });
    return true;
  } catch {
    return false;
  } finally {
    folders.forEach(removeIfEmpty);
  }
}

/** Of a group of this process. */
function nameOf(id: string): string {
  return `${prefix}${process.pid}_${startOf(process.pid)}-${id}`;
}

function foldersOf({ memory, pids, cpu }: Groups, name: string): string[] {
  const folders = [memory, pids, cpu].filter((folder) => folder !== undefined);
  return [...new Set(folders)].map((folder) => path.join(folder, name));
}

function limit({ version, memory, pids }: Groups, name: string, limits: Pick<Limits, 'memory_bytes' | 'processes'>) {
  const [inMemory, inPids] = [path.join(memory, name), path.join(pids, name)];
  const bytes = String(limits.memory_bytes);
  writeFileSync(path.join(inPids, 'pids.max'), String(limits.processes + ownProcesses));
  writeFileSync(path.join(inMemory, version === 2 ? 'memory.max' : 'memory.limit_in_bytes'), bytes);
  const swap = path.join(inMemory, version === 2 ? 'memory.swap.max' : 'memory.memsw.limit_in_bytes');
  if (existsSync(swap)) writeFileSync(swap, version === 2 ? '0' : bytes);
}

/** Makes a group for a job. */
export function makeGroup(groups: Groups): Group {
  const name = nameOf(randomBytes(5).toString('hex'));
  const folders = foldersOf(groups, name);
  for (const folder of folders) mkdirSync(folder);
  const procs = folders.map((folder) => path.join(folder, 'cgroup.procs'));
  const kill = () => {
    for (const pid of readOr(procs[0]!).split('\n').filter(Boolean)) endProcess(Number(pid));
  };

  async function remove(): Promise<void> {
    for (let tries = 0; tries < 100; tries += 1) {
      kill();
      if (folders.map(removeIfEmpty).every(Boolean)) return;
      await sleep(20);
    }
  }

  return { procs, limit: (limits) => limit(groups, name, limits), measure: () => measure(groups, name), kill, remove };
}

function measure({ version, memory, cpu }: Groups, name: string): { cpu_ms: number; ran_out: boolean } {
  const events = readOr(path.join(memory, name, version === 2 ? 'memory.events' : 'memory.oom_control'));
  const ran_out = Number(/^oom_kill (\d+)/m.exec(events)?.[1] ?? 0) > 0;
  const used = readOr(path.join(cpu ?? '', name, version === 2 ? 'cpu.stat' : 'cpuacct.usage'));
  const cpu_ms = version === 2 ? Number(/^usage_usec (\d+)/m.exec(used)?.[1] ?? 0) / 1e3 : Number(used) / 1e6;
  return { cpu_ms, ran_out };
}

/** Removes groups that workers have left that died: those in which nothing is. One that lives may have made a group that nothing has joined yet. */
export function sweepGroups(groups: Groups): void {
  for (const folder of foldersOf(groups, '')) {
    for (const name of readdirSync(folder)) {
      const [, pid, start] = /^orchflow-job-(\d+)(?:_(\d+))?-/.exec(name) ?? [];
      const living = pid === undefined ? undefined : startOf(Number(pid));
      const isOfLiving = living !== undefined && (start === undefined || living === start);
      if (name.startsWith(prefix) && !isOfLiving) removeIfEmpty(path.join(folder, name));
    }
  }
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended meanwhile.
  }
}

function removeIfEmpty(folder: string): boolean {
  try {
    rmdirSync(folder);
    return true;
  } catch {
    return !existsSync(folder);
  }
}

function readOr(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
