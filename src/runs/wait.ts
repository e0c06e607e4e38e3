import type { RunStatus } from '../../workflows/contract/states.ts';
import { stays, type RunEvents } from './events.ts';

/** What must be known of a run to wait for it. */
type Waited = { status: RunStatus; starts_in_ms: number | null };

/** Whether a run begins only when nobody waits for it any more. */
export function beginsAfter({ starts_in_ms }: Waited, most_ms: number): boolean {
  return starts_in_ms !== null && starts_in_ms >= most_ms;
}

/**
 * Reads a run until it has come to something (`hasResult`), for `most_ms` at most, and returns it as it was read last: also when it
 * begins only after that, and when this process stops. Undefined when it is not found any more.
 */
export async function waitForRun<R extends Waited>(
  runEvents: RunEvents,
  run_id: string,
  { read, hasResult }: { read: () => Promise<R | undefined>; hasResult: (run: R) => boolean },
  { most_ms, signal }: { most_ms: number; signal: AbortSignal },
): Promise<R | undefined> {
  const end = performance.now() + most_ms;
  for (let seen: RunStatus | undefined; ;) {
    const run = await read();
    const timeout_ms = end - performance.now();
    // Woken, and nothing has changed: this process stops.
    if (!run || hasResult(run) || signal.aborted || timeout_ms <= 0 || run.status === seen) return run;
    if (beginsAfter(run, timeout_ms)) return run;
    const { status } = run;
    seen = status;
    const isGoingOn = stays();
    const holds = isGoingOn(status) ? isGoingOn : (now: RunStatus) => now === status;
    await runEvents.waitWhile(run_id, holds, { timeout_ms, signal });
  }
}
