/**
 * What time it is, for a workflow: that of its workflow task, or later. What comes while such a task is on its way to a worker that is
 * gone is heard with a query that is answered then, and the SDK's time is that of the task before, perhaps days ago
 * (docs/surprises.md). So signals say when what they tell was said, and a timer that has fired has had its time. In a replay it may be a little
 * later than it was: it is for what is told, and for lengths of timers, and decides nothing.
 */

let heard_at = 0;
/** When those timers that were started fire at the earliest, by their number. */
const ends = new Map<number, number>();

/** In milliseconds since 1970. */
export function timeNow(): number {
  return Math.max(Date.now(), heard_at);
}

/** No clock is right that says more: in the year 2096, and dates end later. */
const latest = 4e12;

/** It is this moment at least, in milliseconds since 1970, as whoever sends a signal says. */
export function hearTime(at: unknown): void {
  if (Number.isSafeInteger(at) && (at as number) < latest) heard_at = Math.max(heard_at, at as number);
}

export function timerStarts(seq: number, ms: number): void {
  ends.set(seq, timeNow() + ms);
}

export function timerFires(seq: number): void {
  hearTime(Math.floor(ends.get(seq) ?? 0));
  ends.delete(seq);
}
