import type { Evidence } from './evidence.ts';
import type { Fallen } from './faults.ts';

/** When a fault excuses what would be a violation without it. */

/** A lost worker is noticed by its missing heartbeats (6 s), and what was cut off connects again after a while. */
export const aftermath = 15_000;

/** True for faults of what stands between a model's answer and the journal: workers, both servers and their lines. */
export function hurtsWorkers(fault: Fallen): boolean {
  switch (fault.kind) {
    case 'kill':
    case 'freeze':
      return !fault.target.startsWith('api') && fault.target !== 'coder';
    case 'cut':
    case 'silence':
    case 'slow':
      return fault.from.startsWith('worker');
    case 'kill in a call':
    case 'kill in a chain':
    case 'kill in a tool':
    case 'kill in a delivery':
      return true;
    default:
      return false;
  }
}

/** The same of what stands between code of people and its end: the worker that runs it, both servers and its lines. */
export function hurtsCoder(fault: Fallen): boolean {
  switch (fault.kind) {
    case 'kill':
    case 'freeze':
      return ['coder', 'postgres', 'temporal'].includes(fault.target);
    case 'cut':
    case 'silence':
    case 'slow':
      return fault.from === 'coder';
    default:
      return fault.kind === 'kill in code';
  }
}

export function hurtsApi(fault: Fallen, name: string): boolean {
  if (fault.kind === 'kill before the signal') return true;
  return (fault.kind === 'kill' || fault.kind === 'freeze') && fault.target === name;
}

/** The faults of this kind whose time, with `after` milliseconds more, touches this one. */
export function during({ fallen }: Evidence, from: number, to: number, is: (fault: Fallen) => boolean, after = 0) {
  return fallen.filter((fault) => is(fault) && fault.began <= to && fault.ended + after >= from);
}

/**
 * Until when something begun at `moment` may still go on, `bound` ms later unless workers were hurt meanwhile, or what else counts. Each
 * such fault may put it off until `after` ms after its end, and so into the next one.
 */
export function excusedUntil(
  evidence: Evidence,
  moment: number,
  bound: number,
  { is = hurtsWorkers, after = aftermath }: { is?: (fault: Fallen) => boolean; after?: number } = {},
): number {
  let until = moment + bound;
  for (const fault of evidence.fallen.filter(is).toSorted((a, b) => a.began - b.began)) {
    if (fault.began <= until && fault.ended + after >= moment) until = Math.max(until, fault.ended + after);
  }
  return until;
}

/** True when workers were hurt between these moments, or so shortly before that they had not recovered. */
export function workersWereHurt(evidence: Evidence, from: number, to: number): boolean {
  return during(evidence, from, to, hurtsWorkers, aftermath).length > 0;
}
