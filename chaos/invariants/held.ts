import type { Evidence } from '../evidence.ts';
import type { Entry } from '../journal.ts';
import { excusedUntil } from '../windows.ts';
import { entries, time, type Invariant } from './runs.ts';

/** What was in flight may go on for so long, in milliseconds: a call that was being made, and one that is told to stop. */
export const grace_ms = 4_000;

/** 26. While a run is held, no model, tool or code is called; each hold and each release is told once. */
export const heldRunsBeginNothing: Invariant = (e) => {
  const faults: string[] = [];
  for (const [note, tries] of Map.groupBy([...entries(e, 'hold'), ...entries(e, 'release')], (entry) => entry.note)) {
    const { op, run_id } = tries[0]!;
    const type = op === 'hold' ? 'run.held' : 'run.released';
    const told = e.events.filter((event) => event.run_id === run_id && event.type === type && event.data.note === note);
    // A try of which nothing was heard may be done when another one has let it go: then there is nothing to let go.
    const isNone = note.startsWith('again') || entries(e, 'release').some((entry) => isUnheard(entry, run_id));
    const least = op === 'release' && isNone ? 0 : boundsOf(tries)[0];
    const most = tries.filter(({ outcome }) => outcome !== 'fail').length;
    if (told.length < least || told.length > most) faults.push(`${note} was told ${told.length} times`);
  }
  for (const { run_id, from, to } of holdsOf(e)) {
    const begun = excusedUntil(e, from, grace_ms);
    const made = [
      ...e.calls.filter((call) => call.run_id === run_id).map(({ call_id, received_at: at }) => ({ call_id, at })),
      ...e.orders.filter(({ call_id }) => call_id.startsWith(`${run_id}/`)),
    ];
    for (const { call_id, at } of made) {
      if (at > begun && at < to) faults.push(`${call_id} was begun at ${at}; the run was held from ${from} to ${to}`);
    }
  }
  return faults;
};

const isUnheard = ({ run_id, outcome }: Entry & { run_id: string }, of: string) =>
  run_id === of && outcome === 'unknown';

/** From when runs were known to be held, until somebody asked for their release, or an earlier try of that was done. */
function holdsOf(e: Evidence): { run_id: string; from: number; to: number }[] {
  const held = entries(e, 'hold').filter(({ outcome }) => outcome === 'ok');
  return held.map(({ run_id, ended: from }) => {
    const asked = entries(e, 'release').filter((entry) => entry.run_id === run_id);
    const told = e.events.filter((event) => event.run_id === run_id && event.type === 'run.released');
    const moments = [...asked.map(({ invoked }) => invoked), ...told.map(({ created_at }) => time(created_at))];
    return { run_id, from, to: Math.min(e.gathered_at, ...moments.filter((at) => at >= from)) };
  });
}

/** How often what was asked for may have been done: once when it was acknowledged, and never when it was refused. */
export function boundsOf(tries: Entry[]): [number, number] {
  if (tries.some(({ outcome }) => outcome === 'ok')) return [1, 1];
  return [0, tries.some(({ outcome }) => outcome === 'unknown') ? 1 : 0];
}
