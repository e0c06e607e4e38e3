/**
 * What time it is, for a workflow: that of its workflow task, or later. What comes while such a task is on its way to a worker that is
 * gone is heard with a query that is answered then, and the SDK's time is that of the task before, perhaps days ago
 * (docs/surprises.md). So who sends a signal says when.
 */

let heard_at = 0;

/** In milliseconds since 1970. */
export function timeNow(): number {
  return Math.max(Date.now(), heard_at);
}

/** It is this moment at least, in milliseconds since 1970. */
export function hearTime(at: number): void {
  heard_at = Math.max(heard_at, at);
}

export function forgetTime(): void {
  heard_at = 0;
}
