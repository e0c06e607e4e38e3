import type { RunStatus } from '../../workflows/contract/states.ts';
import { stays, type RunEvents } from './events.ts';

/** What must be known of a run to wait for it. */
type Waited = { status: RunStatus; starts_in_ms: number | null };

/**
 * A gate was decided, and the workflow is about to hear of it: the run may wait at its next one without having another status
 * between. So long until it is read again, in milliseconds.
 */
const settles_ms = 1_000;

/** Whether a run begins only when nobody waits for it any more. */
export function beginsAfter({ starts_in_ms }: Waited, most_ms: number): boolean {
  return starts_in_ms !== null && starts_in_ms >= most_ms;
}

/**
 * Reads a run until it has come to something (`hasResult`), for `most_ms` at most, and returns it as it was read last: also when it
 * begins only after that, and when this process stops. Undefined when it is not found any more. While it waits it holds nothing
 * of the run, which may have megabytes of texts.
 */
export async function waitForRun<R extends Waited>(
  runEvents: RunEvents,
  run_id: string,
  { read, hasResult }: { read: () => Promise<R | undefined>; hasResult: (run: R) => boolean },
  { most_ms, signal }: { most_ms: number; signal: AbortSignal },
): Promise<R | undefined> {
  const end = performance.now() + most_ms;
  for (let mayWait = true; ;) {
    const seen = await look(mayWait);
    if ('run' in seen) return seen.run;
    const { status, left_ms } = seen;
    const isGoingOn = stays();
    mayWait = isGoingOn(status)
      ? await runEvents.waitWhile(run_id, isGoingOn, { timeout_ms: left_ms, signal })
      : await runEvents.waitWhile(run_id, (now) => now === status, {
          timeout_ms: Math.min(left_ms, settles_ms),
          signal,
        });
  }

  /** The run, when it is not to be waited for. */
  async function look(mayWait: boolean): Promise<{ run: R | undefined } | { status: RunStatus; left_ms: number }> {
    const run = await read();
    const left_ms = end - performance.now();
    if (!run || hasResult(run) || !mayWait || left_ms <= 0 || beginsAfter(run, left_ms)) return { run };
    return { status: run.status, left_ms };
  }
}
