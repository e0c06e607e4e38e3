import { CancellationScope, setHandler } from '@temporalio/workflow';
import type { Carried, RunInput, RunPolicies } from './contract/inputs.ts';
import { openGates } from './gate.ts';
import type { LongLivedRun } from './history.ts';
import { hearHolds } from './holds.ts';
import { openInbox } from './inbox.ts';
import { runStateQuery, waitingTasksQuery } from './messages.ts';
import { goOnAsking, type PayingRun } from './model-calls.ts';
import { nothingShown, showToOperators } from './operators-view.ts';
import { keepSaving, openProjection } from './projection.ts';
import { newState, noChanges } from './state.ts';
import { openTerms } from './terms.ts';
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

type Opening = RunPolicies &
  Pick<RunInput, 'run_id' | 'has_webhook' | 'on_budget' | 'most_events' | 'history_limit' | 'webhooks'> & {
    attempt?: number;
    carried?: Carried;
  };

/** Opens a run, or takes it up as it was when it continued as new. From here on it hears signals and answers queries. */
export function openRun(input: Opening): RunContext {
  const { run_id, carried } = input;
  const run: RunContext = {
    state: carried?.state ?? newState(run_id),
    changes: noChanges(),
    projection: openProjection(carried?.version, carried?.is_held),
    shown: nothingShown(),
    inbox: new Map(carried?.answers),
    openings: new Map(carried?.openings),
    reminders: {},
    terms: openTerms(input, carried?.terms),
    budget: { on_budget: input.on_budget, approvals: 0 },
    webhooks: createWebhooks(run_id, input.has_webhook, Math.max(carried?.webhooks ?? 0, input.webhooks ?? 0)),
    attempt: input.attempt ?? 1,
    scope: new CancellationScope(),
    most_events: input.most_events,
    history_limit: input.history_limit,
  };
  if (carried) showToOperators(run);
  keepSaving(run);
  openInbox(run);
  goOnAsking(run);
  hearHolds(run);
  setHandler(runStateQuery, () => run.state, { description: 'Status, phase, tasks and warnings of the run.' });
  setHandler(waitingTasksQuery, () => openGates(run.state), {
    description: 'The gates that wait for a person now, with the task, the kind and the reason of each.',
  });
  return run;
}

/** For events of which a run that is tried again has more than one. */
export function whichTry({ attempt }: Pick<RunContext, 'attempt'>): { attempt?: number } {
  return attempt > 1 ? { attempt } : {};
}
