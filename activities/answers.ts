import { expireGate } from '../db/gate-timeouts.ts';
import { settleGate } from '../db/gates.ts';
import { saveProgress } from '../db/progress.ts';
import type { Gate } from '../db/schema.ts';
import type { OnTimeout } from '../workflows/contract/gate-rules.ts';
import type { Decision, Progress } from '../workflows/contract/states.ts';
import type { ActivityDeps } from './deps.ts';

/** What decides at a gate: this answer, or that nobody gave one in time. Undefined: the run is being cancelled. */
type Standing = { decision: Decision; output_id: string | null } | 'expired' | undefined;

/** Short writes of the run's state, used as local activities. */
export function createAnswerActivities({ db, live }: ActivityDeps) {
  return {
    async saveProgress(run_id: string, progress: Progress) {
      const saved = await saveProgress(db, run_id, progress);
      live.changed(run_id);
      return saved;
    },

    /**
     * Takes an answer that an operator signalled by hand. Returns what stands: an answer that came by REST before it
     * wins.
     */
    async recordAnswer(answer: {
      run_id: string;
      gate_id: string;
      decision: Decision;
      output: string | null;
    }): Promise<Standing> {
      const gate = await settleGate(db, answer);
      live.changed(answer.run_id);
      return standing(gate);
    },

    /** Expires a gate that nobody answered in time. Returns what stands: an answer that came before wins. */
    async expireGate(late: { run_id: string; gate_id: string; on_timeout: OnTimeout }): Promise<Standing> {
      const gate = await expireGate(db, late);
      live.changed(late.run_id);
      return standing(gate);
    },
  };
}

function standing({ status, decision, answer_id }: Gate): Standing {
  if (status === 'expired') return 'expired';
  return decision ? { decision, output_id: answer_id } : undefined;
}
