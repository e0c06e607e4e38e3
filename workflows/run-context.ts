import { setHandler } from '@temporalio/workflow';
import { noGatePolicy } from './contract/gate-rules.ts';
import type { Carried, RunInput } from './contract/inputs.ts';
import { openGates } from './gate.ts';
import type { LongLivedRun } from './history.ts';
import { openInbox } from './inbox.ts';
import { runStateQuery, waitingTasksQuery } from './messages.ts';
import { goOnAsking, type PayingRun } from './model-calls.ts';
import { nothingShown, showToOperators } from './operators-view.ts';
import { keepSaving, openProjection } from './projection.ts';
import { newState, noChanges } from './state.ts';
import { createWebhooks } from './webhook.ts';

/**
 * A run of any kind, as its workflow has it. What is done to it are functions that take it first. Each part belongs to the
 * file that names it in a type of its own, from `state.ts` up to `model-calls.ts`.
 */
export type RunContext = PayingRun &
  LongLivedRun & {
    /** 1, and one more each time that the run is tried again. */
    readonly attempt: number;
  };

type Opening = Pick<RunInput, 'run_id' | 'has_webhook' | 'on_budget' | 'gate_policy' | 'history_limit'> & {
  attempt?: number;
  carried?: Carried;
};

/** Opens a run, or takes it up as it was when it continued as new. From here on it hears signals and answers queries. */
export function openRun(input: Opening): RunContext {
  const { run_id, carried } = input;
  const run: RunContext = {
    state: carried?.state ?? newState(run_id),
    changes: noChanges(),
    projection: openProjection(carried?.version),
    shown: nothingShown(),
    inbox: new Map(carried?.answers),
    openings: new Map(carried?.openings),
    gatePolicy: input.gate_policy ?? noGatePolicy,
    budget: { on_budget: input.on_budget, approvals: 0 },
    webhooks: createWebhooks(run_id, input.has_webhook, carried?.webhooks),
    attempt: input.attempt ?? 1,
    history_limit: input.history_limit,
  };
  if (carried) showToOperators(run);
  keepSaving(run);
  openInbox(run);
  goOnAsking(run);
  setHandler(runStateQuery, () => run.state, { description: 'Status, phase, tasks and warnings of the run.' });
  setHandler(waitingTasksQuery, () => openGates(run.state), {
    description: 'The gates that wait for a person now, with the task, the kind and the reason of each.',
  });
  return run;
}
