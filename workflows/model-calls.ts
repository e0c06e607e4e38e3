import { ActivityFailure, ApplicationFailure } from '@temporalio/workflow';
import type { createGates } from './gate.ts';
import { withoutApproval } from './gate-policy.ts';
import type { GatePolicy } from './contract/gate-rules.ts';
import type { RunInput } from './contract/inputs.ts';
import type { Progress, TaskState } from './contract/states.ts';
import { budgetTask, isBudgetTask } from './contract/plan.ts';
import type { ProgressTracker } from './progress.ts';

/** However often a provider says so, and for days: it is no reason to give up. */
const heldBack = ['ProviderBlocked', 'LlmRateLimited'];

/**
 * Makes model calls within the run's budget. When it is used up, one person decides for all calls that it stops: each
 * approval grants the limits once more, and a rejection fails the run. With `on_budget: "fail"` it fails at once.
 */
export function createModelCalls(
  run: ProgressTracker,
  gates: ReturnType<typeof createGates>,
  on_budget: RunInput['on_budget'],
  policy: GatePolicy,
) {
  /** As Postgres counts them, also those of the runs before this one continued as new. */
  let approvals = 0;
  const asked = run.state.tasks.find((task) => isBudgetTask(task) && task.gate?.status === 'open');
  /** A run that continues as new goes on asking. */
  const asking = asked && askPerson(asked, asked.gate!.reason ?? '');
  asking?.catch(() => {});
  let decision: Promise<void> | undefined;

  /** Runs an activity, with the changes so far, as often as it is held up. */
  async function makeCall<T>(activity: (progress: Progress | undefined) => Promise<T>): Promise<T> {
    if (asking) await asking;
    for (;;) {
      try {
        return await run.carry(activity);
      } catch (error) {
        const failure = error instanceof ActivityFailure ? error.cause : undefined;
        if (!(failure instanceof ApplicationFailure)) throw error;
        if (failure.type === 'BudgetExceeded') await decide(failure);
        else if (!heldBack.includes(failure.type!)) throw error;
      }
    }
  }

  async function decide({ message, details }: ApplicationFailure): Promise<void> {
    if (on_budget === 'fail') throw overBudget(message);
    const before = Number(details?.[0]);
    // Refused before the last approval.
    if (before < approvals) return;
    decision ??= askPerson(budgetTask(run.state.tasks), message)
      .then(() => void (approvals = before + 1))
      .finally(() => {
        decision = undefined;
      });
    return decision;
  }

  async function askPerson(task: TaskState, reason: string): Promise<void> {
    if (!run.state.tasks.includes(task)) run.state.tasks.push(task);
    const answer = await gates.awaitAnswer(task, 'budget', withoutApproval(policy), reason);
    if (answer.decision === 'reject') throw overBudget(reason);
    run.changeTask(task, { status: 'completed' });
  }

  return makeCall;
}

function overBudget(reason: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(reason, 'BudgetExceeded');
}
