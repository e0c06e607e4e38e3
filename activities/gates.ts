import { expireGate, settleGate } from '../db/gates.ts';
import type { Gate } from '../db/schema.ts';
import type { OnTimeout } from '../workflows/contract/gate-rules.ts';
import type { Decision } from '../workflows/contract/states.ts';
import type { ActivityDeps } from './deps.ts';

/** What has decided at a gate: an answer, or that nobody gave one in time. Undefined: the run is being cancelled. */
type Decided = { decision: Decision; output_id: string | null } | 'expired' | undefined;

/** Postgres decides between all that may end the wait at a gate. Used as local activities. */
export function createGateActivities({ db, live }: ActivityDeps) {
  return {
    /** Takes an answer that an operator signalled by hand, unless one that came by REST has decided before it. */
    async recordAnswer(answer: {
      run_id: string;
      gate_id: string;
      decision: Decision;
      output: string | null;
    }): Promise<Decided> {
      const gate = await settleGate(db, answer);
      live.changed(answer.run_id);
      return decidedInPostgres(gate);
    },

    /** Expires a gate that nobody answered in time, unless an answer has decided before it. */
    async expireGate(late: { run_id: string; gate_id: string; on_timeout: OnTimeout }): Promise<Decided> {
      const gate = await expireGate(db, late);
      live.changed(late.run_id);
      return decidedInPostgres(gate);
    },
  };
}

function decidedInPostgres({ status, decision, answer_id }: Gate): Decided {
  if (status === 'expired') return 'expired';
  return decision ? { decision, output_id: answer_id } : undefined;
}
