import { findHeldAt } from '../db/holds.ts';
import { findFinalOutputId, saveProgress } from '../db/progress.ts';
import { listRunPlaces } from '../db/run-events.ts';
import { sendSteeringsAgain } from '../db/steering.ts';
import type { RunEvent } from '../workflows/contract/events.ts';
import { hasEnded, type Progress, type RunStatus } from '../workflows/contract/states.ts';
import { signed } from './at-work.ts';
import type { ActivityDeps } from './deps.ts';
import { operatorOf } from './operator.ts';

/** For what changes while no activity is due that could take it along. */
export function createProgressActivities(deps: ActivityDeps) {
  const { db, live, outbox } = deps;
  return {
    /** With the final output of a run that was completed before it could fail. */
    async saveProgress(
      run_id: string,
      progress: Progress,
    ): Promise<{ status: RunStatus; final_output_id?: string | null }> {
      const told = progress.run.status === 'cancelled' ? await withOperator(deps, run_id, progress) : progress;
      const saved = await saveProgress(db, run_id, signed(told));
      // A person has steered the run before it could complete. Its workflow hears of it, and hears it twice at most.
      if (progress.run.status === 'completed' && !hasEnded(saved.status)) {
        await sendSteeringsAgain(db, run_id, progress.run.steered ?? 0);
      }
      if (hasEnded(saved.status)) {
        live.ended(run_id);
        outbox.ended(run_id);
      } else live.changed(run_id);
      const isTooLate = saved.status === 'completed' && progress.run.status === 'failed';
      return isTooLate ? { ...saved, final_output_id: await findFinalOutputId(db, run_id) } : saved;
    },

    /** Whether a run is held. One that is gone is not: its cancellation is on its way. */
    isHeld: async (run_id: string) => Boolean(await findHeldAt(db, run_id)),
  };
}

/** Of a run that was cancelled in Temporal, and not over REST, by whom. */
async function withOperator({ db, operators }: ActivityDeps, run_id: string, progress: Progress): Promise<Progress> {
  const [run] = await listRunPlaces(db, [run_id]);
  if (!run || hasEnded(run.status)) return progress;
  const by = operatorOf(await operators.findCancelling(run_id));
  const told = (event: RunEvent) => ({ ...event, data: { ...event.data, by } });
  return {
    ...progress,
    events: progress.events.map((event) => (event.type === 'run.cancelled' ? told(event) : event)),
  };
}
