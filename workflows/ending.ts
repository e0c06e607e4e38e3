import { ApplicationFailure, CancellationScope, condition, isCancellation, patched } from '@temporalio/workflow';
import { cancellationFromPostgres } from './cancellation.ts';
import { completed, completedEvent, type Completed } from './contract/completion.ts';
import { errorCodeOf } from './contract/error-codes.ts';
import type { Carried, RunResult } from './contract/inputs.ts';
import { hasEnded } from './contract/states.ts';
import { gatesAreAtRest } from './gate.ts';
import { longAndAtRest, RestForContinueAsNew } from './history.ts';
import { nextVersion, projectionIsAtRest, saved } from './projection.ts';
import { whichTry, type RunContext } from './run-context.ts';
import { changeRun, changeTask, record } from './state.ts';
import { termsAreAtRest, termsCarriedOver } from './terms.ts';

/**
 * Runs a story to its end, whichever it is: completed as the story says at last, failed, or cancelled.
 * Readers, webhook and operators learn of it before the workflow ends. When the history has grown long, the run continues
 * as new with what is carried over.
 */
export async function runToEnd<Run extends RunContext>(
  run: Run,
  story: (run: Run) => Promise<Completed>,
  continueWith: (carried: Carried) => Promise<never>,
): Promise<RunResult> {
  const { scope } = run;
  try {
    for (;;) {
      const told = scope.run(() => story(run));
      // Also without a branch that rests: while all wait for people, reminders make a history long.
      const atRest = longAndAtRest(run, () => isAtRest(run));
      let end: Completed | void;
      try {
        end = await Promise.race([told, atRest]);
      } catch (error) {
        if (!(error instanceof RestForContinueAsNew)) throw error;
        end = await atRest;
      }
      if (end === undefined) return await continueWith(carriedOver(run));

      const { steered = 0 } = run.state;
      record(run, completedEvent, whichTry(run));
      const status = await saved(run);
      // It was cancelled before it could complete.
      if (status === 'cancelled') await cancellationFromPostgres();
      if (hasEnded(status)) {
        run.webhooks.send('completed', []);
        return { status: 'completed', final_output_id: end.final_output_id, error: null };
      }
      // It was steered before it could complete, and hears of it now.
      await condition(() => (run.state.steered ?? 0) > steered);
    }
  } catch (error) {
    if (isCancellation(error)) await CancellationScope.nonCancellable(() => cancel(run));
    else if (error instanceof ApplicationFailure) {
      scope.cancel();
      const end = await fail(run, error);
      if (end) return end;
    }
    throw error;
  } finally {
    await run.webhooks.started();
  }
}

/**
 * The last thing that a story does. It does so itself: when the cancellation comes in the same moment as the output, what
 * the history has depends on which was first, and `runToEnd` would be one step too late.
 */
export function completeRun(run: RunContext, final_output_id: string | null): Completed {
  const end = completed(final_output_id);
  changeRun(run, end);
  return end;
}

function isAtRest(run: RunContext): boolean {
  return projectionIsAtRest(run) && gatesAreAtRest(run) && termsAreAtRest(run) && run.webhooks.isAtRest();
}

function carriedOver(run: RunContext): Carried {
  const { state, inbox, openings, webhooks } = run;
  return {
    state,
    version: nextVersion(run),
    answers: [...inbox],
    openings: [...openings],
    webhooks: webhooks.sent(),
    ...(run.projection.isHeld && { is_held: true }),
    ...termsCarriedOver(run),
  };
}

async function cancel(run: RunContext): Promise<void> {
  closeTasks(run, 'cancelled');
  changeRun(run, { status: 'cancelled' });
  record(run, 'run.cancelled', whichTry(run));
  // By an operator, in the moment after it was completed for its readers.
  const isTooLate = (await saved(run)) === 'completed';
  run.webhooks.send(isTooLate ? 'completed' : 'cancelled', []);
}

/** Returns the result instead when the run was completed after all: by an activity that its workflow had given up. */
async function fail(run: RunContext, { message, type }: ApplicationFailure): Promise<RunResult | undefined> {
  closeTasks(run, 'skipped');
  // Thrown past whoever says why else: it ends the run, and not only what has asked.
  if (type === 'BudgetExceeded') changeRun(run, { error_code: errorCodeOf(type) });
  changeRun(run, { status: 'failed', error: message });
  record(run, 'run.failed', { error: message, ...whichTry(run) });
  const status = await saved(run);
  if (status === 'completed' && patched('completed-after-all')) {
    run.webhooks.send('completed', []);
    return { status, final_output_id: run.state.final_output_id, error: null };
  }
  run.webhooks.send('failed', []);
  return undefined;
}

/** Closes what is still open when the run ends early. */
function closeTasks(run: RunContext, status: 'cancelled' | 'skipped'): void {
  for (const task of run.state.tasks) {
    if (hasEnded(task.status)) continue;
    if (task.gate?.status === 'open') task.gate.status = 'closed';
    changeTask(run, task, { status });
  }
}
