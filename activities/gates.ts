import { expireGate, filesNamedAt, findGate, settleGate } from '../db/gates.ts';
import { takeOfRate } from '../db/rate-limits.ts';
import { insertRunFiles } from '../db/run-files.ts';
import { findRun, getAccountOf } from '../db/runs.ts';
import type { Gate } from '../db/schema.ts';
import { listTexts } from '../db/texts.ts';
import { findAttachments } from '../src/files/attach.ts';
import { policiesOf } from '../src/runs/gate-terms.ts';
import type { OnTimeout } from '../workflows/contract/gate-terms.ts';
import type { Decision } from '../workflows/contract/states.ts';
import type { ActivityDeps } from './deps.ts';
import { operatorOf } from './operator.ts';

/** What has decided at a gate: an answer, or that nobody gave one in time. Undefined: the run is being cancelled. */
type Decided = { decision: Decision; output_id: string | null } | 'expired' | undefined;

type Reminders = { taken: number; warning?: string };

/** `terms`: the newest change of its terms that the run knows; missing from workers of 0.1.0, which know none. */
type LateGate = { run_id: string; gate_id: string; on_timeout: OnTimeout; terms?: number };

/** Postgres decides between all that may end the wait at a gate. Each is an activity of its own. */
export function createGateActivities(deps: ActivityDeps) {
  const { db, live, log, operators, reminderRate } = deps;
  return {
    /** Takes an answer that an operator signalled by hand, unless one that came by REST has decided before it. */
    async recordAnswer(answer: {
      run_id: string;
      gate_id: string;
      decision: Decision;
      output: string | null;
    }): Promise<Decided> {
      const { run_id, gate_id, decision } = answer;
      const opened = await findGate(db, gate_id);
      // The run is purged.
      if (!opened) return undefined;
      const { task_id, opened_at: since } = opened;
      const id = await operators.findAnswering(run_id, { task_id, gate_id, decision, since });
      const gate = await settleGate(db, { ...answer, by: operatorOf(id) });
      // The answer stands without them.
      if (gate)
        await attachNamed(deps, gate, answer.output).catch((err: unknown) =>
          log.warn({ err, run_id }, 'the files of an answer are not attached'),
        );
      live.changed(answer.run_id);
      return decidedInPostgres(gate);
    },

    /**
     * How long the gates of a run wait for people, as it is stored now, with the number of the newest event by then; `gates` are
     * the entries of tasks that answer to several. Undefined of a run that is gone.
     */
    async readTerms({ run_id, gates }: { run_id: string; gates: Record<string, number[]> }) {
      const run = await findRun(db, run_id);
      return run && { n: run.event_seq, ...policiesOf(run, gates) };
    },

    /**
     * How many of so many reminders of a run may be told now, and where its account has too many, a warning that says so. None
     * of an account that is suspended.
     */
    async takeReminders({ run_id, wanted }: { run_id: string; wanted: number }): Promise<Reminders> {
      const taken = await takeOfRate(db, { run_id }, reminderRate, wanted);
      if (taken === undefined || taken === wanted) return { taken: taken ?? 0 };
      return { taken, warning: `Reminders were left out: an account has ${reminderRate.most} in an hour at most.` };
    },

    /** Expires a gate that nobody answered in time, unless an answer has decided before it, or the run has other terms by now. */
    async expireGate(late: LateGate): Promise<Decided | 'other_terms'> {
      const gate = await expireGate(db, late);
      if (gate === 'other_terms') return gate;
      live.changed(late.run_id);
      return decidedInPostgres(gate);
    },
  };
}

/** Gives the run the files that its form names. Of those that are not there it has only the ids. */
async function attachNamed(deps: ActivityDeps, gate: Gate, output: string | null): Promise<void> {
  const { db } = deps;
  const { run_id, gate_id, task_id } = gate;
  const named = await filesNamedAt(db, gate, output);
  const account_id = named.length > 0 ? await getAccountOf(db, run_id) : null;
  // Another answer may stand.
  if (account_id === null || (await listTexts(db, [gate_id])).get(gate_id) !== output) return;
  const files = await findAttachments(deps, account_id, named);
  await db.transaction().execute((trx) => insertRunFiles(trx, { run_id, gate_id, task_id }, files));
}

function decidedInPostgres(gate: Gate | undefined): Decided {
  if (!gate) return undefined;
  const { status, decision, answer_id } = gate;
  if (status === 'expired') return 'expired';
  return decision ? { decision, output_id: answer_id } : undefined;
}
