import { readdirSync, readFileSync } from 'node:fs';

/** Processes as Linux shows them in /proc. */

/** Of a process and all that came of it. Memory that several share is counted for each. */
export type Usage = { memory_bytes: number; cpu_ms: number; processes: { pid: number; memory_bytes: number }[] };

const page_bytes = 4_096;
/** Of a clock tick, which is the same on every Linux that there is. */
const tick_ms = 10;

/** What a process and its descendants use now. Nothing on other systems, and of what has ended. */
export function usageOf(pid: number): Usage {
  const usage: Usage = { memory_bytes: 0, cpu_ms: 0, processes: [] };
  const pids = [pid];
  for (let next = pids.pop(); next !== undefined; next = pids.pop()) {
    try {
      const stat = readFileSync(`/proc/${next}/stat`, 'latin1');
      // The name in parentheses may hold spaces and parentheses; utime is field 14 and rss field 24 (proc(5)).
      const fields = stat
        .slice(stat.lastIndexOf(')') + 2)
        .split(' ')
        .map(Number);
      usage.cpu_ms += (fields[11]! + fields[12]! + fields[13]! + fields[14]!) * tick_ms;
      const memory_bytes = fields[21]! * page_bytes;
      usage.memory_bytes += memory_bytes;
      usage.processes.push({ pid: next, memory_bytes });
      for (const thread of readdirSync(`/proc/${next}/task`)) {
        const children = readFileSync(`/proc/${next}/task/${thread}/children`, 'latin1');
        pids.push(...children.split(' ').filter(Boolean).map(Number));
      }
    } catch {
      // It has ended meanwhile.
    }
  }
  return usage;
}

/** The memory of processes, each with its share of what it shares: exact, and dear. */
export function memoryOf({ processes }: Usage): number {
  return processes.reduce((sum, process) => sum + shareOf(process), 0);
}

function shareOf({ pid, memory_bytes }: Usage['processes'][number]): number {
  try {
    return Number(/^Pss: +(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))?.[1] ?? 0) * 1024;
  } catch (error) {
    // What has ended meanwhile has none; one that may not be looked into has all that it is seen with.
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' || code === 'ESRCH' ? 0 : memory_bytes;
  }
}

/** When a process was started, in ticks since the boot; undefined when there is none. With its pid it is the only one. */
export function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}
