import type { Db } from '../db/index.ts';
import { expireGate } from '../db/gate-timeouts.ts';
import { settleGate } from '../db/gates.ts';
import { saveProgress } from '../db/progress.ts';
import type { Gate } from '../db/schema.ts';
import type { Decision, OnTimeout, Progress } from '../workflows/messages.ts';

/** What decides at a gate: this answer, or that nobody gave one in time. Undefined: the run is being cancelled. */
type Standing = { decision: Decision; output_id: string | null } | 'expired' | undefined;

/** Short writes of the run's state, used as local activities. */
export function createAnswerActivities({ db }: { db: Db }) {
  return {
    saveProgress: (run_id: string, progress: Progress) => saveProgress(db, run_id, progress),

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
      return standing(await settleGate(db, answer));
    },

    /** Expires a gate that nobody answered in time. Returns what stands: an answer that came before wins. */
    async expireGate(gate: { run_id: string; gate_id: string; on_timeout: OnTimeout }): Promise<Standing> {
      return standing(await expireGate(db, gate));
    },
  };
}

function standing({ status, decision, answer_id }: Gate): Standing {
  if (status === 'expired') return 'expired';
  return decision ? { decision, output_id: answer_id } : undefined;
}
