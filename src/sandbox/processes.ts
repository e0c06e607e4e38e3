import { readdirSync, readFileSync } from 'node:fs';

/** Processes as Linux shows them in /proc. */

/** Of a process and all that came of it. */
export type Usage = { memory_bytes: number; cpu_ms: number; processes: number };

const page_bytes = 4_096;
/** Of a clock tick, which is the same on every Linux that there is. */
const tick_ms = 10;

/** What a process and its descendants use now. Nothing on other systems, and of what has ended. */
export function usageOf(pid: number): Usage {
  const usage = { memory_bytes: 0, cpu_ms: 0, processes: 0 };
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
      usage.memory_bytes += fields[21]! * page_bytes;
      usage.processes += 1;
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

/** When a process was started, in ticks since the boot; undefined when there is none. With its pid it is the only one. */
export function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}
