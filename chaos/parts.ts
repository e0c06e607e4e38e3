import type { Evidence } from './evidence.ts';
import { entriesOf } from './hostile/door.ts';

/** The evidence of some accounts alone: of the honest ones, or of the one that means harm. */

export function honestPart(e: Evidence): Evidence {
  return partOf(e, (account_id) => account_id !== e.hostile.account.account_id);
}

/** With the calls of its own model, and with what it has done to its runs as a journal. */
export function hostilePart(e: Evidence): Evidence {
  const part = partOf(e, (account_id) => account_id === e.hostile.account.account_id);
  const journal = entriesOf(e.hostile.exchanges);
  return { ...part, calls: e.hostile.calls, journal, asked: journal, purged: new Map() };
}

function partOf(e: Evidence, isIts: (account_id: string) => boolean): Evidence {
  const runs = e.runs.filter(({ account_id }) => isIts(account_id));
  const ids = new Set<string | null>(runs.map(({ run_id }) => run_id));
  const ofRun = <R extends { run_id: string | null }>(rows: R[]) => rows.filter(({ run_id }) => ids.has(run_id));
  // A run is named before the first slash, wherever something is of it.
  const named = (id: string) => ids.has(id.split('/')[0]!);
  return {
    ...e,
    runs,
    tasks: ofRun(e.tasks),
    gates: ofRun(e.gates),
    llm_calls: ofRun(e.llm_calls),
    tool_calls: ofRun(e.tool_calls),
    events: ofRun(e.events),
    deliveries: ofRun(e.deliveries),
    outbox: ofRun(e.outbox),
    changes: ofRun(e.changes),
    begun: ofRun(e.begun),
    run_files: ofRun(e.run_files),
    called: ofRun(e.called),
    code_runs: ofRun(e.code_runs),
    missed: ofRun(e.missed),
    files: e.files.filter(({ account_id }) => account_id !== null && isIts(account_id)),
    calls: ofRun(e.calls),
    orders: e.orders.filter(({ call_id }) => named(call_id)),
    received: e.received.filter(({ payload }) => ids.has(payload.run_id)),
    workflows: e.workflows.filter(({ workflow_id }) => named(workflow_id)),
  };
}
