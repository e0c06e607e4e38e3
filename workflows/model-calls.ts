import { ActivityFailure, ApplicationFailure, CancellationScope, patched } from '@temporalio/workflow';
import type { RunInput } from './contract/inputs.ts';
import { budgetTask, isBudgetTask } from './contract/plan.ts';
import type { Progress, Spending, TaskState } from './contract/states.ts';
import { awaitAnswer, type AskingRun } from './gate.ts';
import { withoutApproval } from './gate-policy.ts';
import { runWithProgress, type Ride } from './rides.ts';
import { addTask, changeTask } from './state.ts';

/**
 * Model calls within the run's budget. When it is used up, one person decides for all calls that it stops: each approval
 * grants the limits once more, or what was asked for twice, where that is more, and a rejection fails the run. With
 * `on_budget: "fail"` it fails at once.
 */

export type Budget = {
  readonly on_budget: RunInput['on_budget'];
  /** As Postgres counts them, also those of the runs before this one continued as new. */
  approvals: number;
  /** The question that was open when the run continued as new. */
  asking?: Promise<void>;
  /** The question that is open now. */
  decision?: Promise<void>;
};

/** A run that can call models. */
export type PayingRun = AskingRun & {
  readonly budget: Budget;
};

/** However often a provider says so, and for days: it is no reason to give up. */
const heldBack = ['ProviderBlocked', 'LlmRateLimited'];

/** A run that continues as new goes on asking. */
export function goOnAsking(run: PayingRun): void {
  const asked = run.state.tasks.find((task) => isBudgetTask(task) && task.gate?.status === 'open');
  if (!asked) return;
  run.budget.asking = askPerson(run, asked, asked.gate!.reason ?? '');
  // Every call awaits it, and there may be none.
  run.budget.asking.catch(() => {});
}

/** Runs an activity that calls a model, with the changes so far, as often as it is held up. */
export async function makeCall<T>(
  run: PayingRun,
  activity: (progress: Progress | undefined) => Promise<T>,
  ride?: Ride,
): Promise<T> {
  if (run.budget.asking) await unlessStopped(run.budget.asking);
  for (;;) {
    try {
      return await runWithProgress(run, activity, ride);
    } catch (error) {
      if (!(error instanceof ActivityFailure && error.cause instanceof ApplicationFailure)) throw error;
      const failure = error.cause;
      if (failure.type === 'BudgetExceeded') await unlessStopped(decide(run, failure));
      else if (!heldBack.includes(failure.type!) || hasNoTimeLeft(error)) throw error;
    }
  }
}

/** True of an activity whose own time is over before it could be tried again: begun anew it would only be refused as soon. */
function hasNoTimeLeft({ retryState }: ActivityFailure): boolean {
  return retryState === 'TIMEOUT' && patched('held-back-in-time');
}

/** Others may wait for the decision still. */
function unlessStopped(decision: Promise<void>): Promise<void> {
  return Promise.race([decision, CancellationScope.current().cancelRequested]);
}

async function decide(run: PayingRun, { message, details }: ApplicationFailure): Promise<void> {
  const { budget } = run;
  if (budget.on_budget === 'fail') throw overBudget(message);
  const before = Number(details?.[0] ?? 0);
  // Refused before the last approval.
  if (before < budget.approvals) return;
  // Others wait for the decision too, when the task whose call asked first is stopped.
  budget.decision ??= run.scope
    .run(() => askPerson(run, budgetTask(run.state.tasks, before), message, details?.[1] as Spending | undefined))
    .then(() => void (budget.approvals = before + 1))
    .finally(() => {
      budget.decision = undefined;
    });
  return budget.decision;
}

async function askPerson(run: PayingRun, task: TaskState, reason: string, asked?: Spending): Promise<void> {
  addTask(run, task);
  const policy = () => withoutApproval(run.terms.gate_policy);
  const answer = await awaitAnswer(run, task, { kind: 'budget', policy, reason, asked });
  if (answer.decision === 'reject') throw overBudget(reason);
  changeTask(run, task, { status: 'completed' });
}

function overBudget(reason: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(reason, 'BudgetExceeded');
}
