import { settleGate } from '../db/gates.ts';
import { saveProgress } from '../db/progress.ts';
import type { Decision, Progress } from '../workflows/messages.ts';
import type { ActivityDeps } from './deps.ts';

/** Short writes of the run's state, used as local activities. */
export function createAnswerActivities({ db, live }: ActivityDeps) {
  return {
    async saveProgress(run_id: string, progress: Progress) {
      const saved = await saveProgress(db, run_id, progress);
      live.changed(run_id);
      return saved;
    },

    /**
     * Takes an answer that an operator signalled by hand. Returns the answer that stands: one that came by REST before
     * it wins. Undefined when the gate was closed: the run is being cancelled.
     */
    async recordAnswer(answer: {
      run_id: string;
      gate_id: string;
      decision: Decision;
      output: string | null;
    }): Promise<{ decision: Decision; output_id: string | null } | undefined> {
      const { decision, answer_id } = await settleGate(db, answer);
      live.changed(answer.run_id);
      return decision ? { decision, output_id: answer_id } : undefined;
    },
  };
}
