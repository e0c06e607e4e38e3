import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Evidence } from './evidence.ts';
import type { Servers } from './servers.ts';

/**
 * When an API could run, and had no CPU: a machine that is too small for all that chaos starts makes it late, and its own clock does not
 * know. Moments are in milliseconds since 1970.
 */
export type Starved = { api: string; from: number; to: number; waited_ms: number };

type Look = { at: number; waited_ms: number };

const lookEvery_ms = 250;

/** Looks at the APIs until the signal is aborted. Only Linux tells: elsewhere none has ever waited. */
export async function watchForStarved({ apis, get }: Servers, signal: AbortSignal): Promise<Starved[]> {
  const starved: Starved[] = [];
  const before = new Map<string, Look & { pid: number }>();
  while (!signal.aborted) {
    for (const { name: api } of apis) {
      const pid = get(api).pid();
      const waited_ms = pid === undefined ? undefined : waitedFor(pid);
      if (pid === undefined || waited_ms === undefined) continue;
      const last = before.get(api);
      const at = Date.now();
      if (last?.pid === pid && waited_ms > last.waited_ms) starved.push(between(api, last, { at, waited_ms }));
      before.set(api, { pid, at, waited_ms });
    }
    await sleep(lookEvery_ms);
  }
  return starved;
}

/** A wait is counted when it is over, so it may have begun before the last look. */
function between(api: string, last: Look, { at, waited_ms }: Look): Starved {
  const more_ms = waited_ms - last.waited_ms;
  return { api, from: Math.min(last.at, at - more_ms), to: at, waited_ms: more_ms };
}

/** How long the main thread of a process has waited for a CPU since it began: the second number of its `schedstat`, in nanoseconds. */
function waitedFor(pid: number): number | undefined {
  try {
    return Number(readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ')[1]) / 1e6;
  } catch {
    return undefined;
  }
}

/** For how much of this time the API had no CPU, in milliseconds. */
export function starvedFor({ starved }: Evidence, api: string, from: number, to: number): number {
  return starved
    .filter((one) => one.api === api && one.from < to && one.to > from)
    .reduce((sum, one) => {
      const within = Math.min(one.to, to) - Math.max(one.from, from);
      return sum + (one.waited_ms * within) / (one.to - one.from);
    }, 0);
}
