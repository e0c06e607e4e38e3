import { condition, patched, setHandler } from '@temporalio/workflow';
import { stopHere } from './cancellation.ts';
import { timeNow } from './clock.ts';
import { holdSignal, releaseSignal } from './messages.ts';
import { oneByOne, type ProjectedRun } from './projection.ts';

/**
 * A run that is held begins no task. Postgres keeps its calls from being made (`activities/at-work.ts`); what the run hears of it
 * keeps a task from being told as begun.
 */

const firstLook_ms = 5_000;
const longestPause_ms = 60 * 60_000;

/** From here on the run hears of it. */
export function hearHolds({ projection }: ProjectedRun): void {
  // A worker of the release before may have heard it, and done nothing.
  setHandler(holdSignal, () => void (projection.isHeld ||= patched('holds')), {
    description: 'Sent by Orchflow when a run is held over REST.',
  });
  setHandler(
    releaseSignal,
    () => {
      projection.isHeld = false;
      projection.releases += 1;
    },
    { description: 'Sent by Orchflow when a run that was held is released over REST.' },
  );
}

/** Resolves when a run that is held is released. Should the news get lost, it looks in Postgres, ever more seldom. */
export async function released(run: ProjectedRun): Promise<void> {
  const { projection, state } = run;
  for (let pause_ms = firstLook_ms; projection.isHeld; pause_ms = Math.min(pause_ms * 2, longestPause_ms)) {
    const isHeard = await condition(() => !projection.isHeld, pause_ms, { summary: 'Held; looks again' });
    const { releases } = projection;
    const isHeld = !isHeard && (await oneByOne(run, (writes) => writes.isHeld(state.run_id)));
    if (projection.releases === releases) projection.isHeld = isHeld;
  }
  projection.waitedUntil = timeNow();
  stopHere(run);
}
