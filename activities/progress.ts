import { saveProgress } from '../db/progress.ts';
import type { Progress } from '../workflows/contract/states.ts';
import { signed } from './at-work.ts';
import type { ActivityDeps } from './deps.ts';

/** For what changes while no activity is due that could take it along. Used as a local activity. */
export function createProgressActivities({ db, live }: ActivityDeps) {
  return {
    async saveProgress(run_id: string, progress: Progress) {
      const saved = await saveProgress(db, run_id, signed(progress));
      live.changed(run_id);
      return saved;
    },
  };
}
