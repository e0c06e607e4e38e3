import { setHandler } from '@temporalio/workflow';
import { noGatePolicy, type GatePolicy } from './contract/gate-rules.ts';
import type { Carried, RunInput } from './contract/inputs.ts';
import type { RunState } from './contract/states.ts';
import { openGates, type Openings } from './gate.ts';
import { openInbox, type Inbox } from './inbox.ts';
import { runStateQuery, waitingTasksQuery } from './messages.ts';
import { goOnAsking, type Budget } from './model-calls.ts';
import { nothingShown, showToOperators, type Shown } from './operators-view.ts';
import { keepSaving, openProjection, type Projection } from './projection.ts';
import { newState, noChanges, type Changes } from './state.ts';
import { createWebhooks, type Webhooks } from './webhook.ts';

/**
 * A run of any kind, as its workflow has it. What is done to it are functions that take it first. Each part belongs to the
 * file that names its type.
 */
export type RunContext = {
  /** What the run is, as readers see it. */
  readonly state: RunState;
  /** What of it is not written yet. */
  readonly changes: Changes;
  readonly projection: Projection;
  readonly shown: Shown;
  readonly inbox: Inbox;
  readonly openings: Openings;
  /** Of every gate that has none of its own. */
  readonly gatePolicy: GatePolicy;
  readonly budget: Budget;
  readonly webhooks: Webhooks;
  /** 1, and one more each time that the run is tried again. */
  readonly attempt: number;
  readonly history_limit: number | undefined;
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
