import { ApplicationFailure, CancellationScope, isCancellation } from '@temporalio/workflow';
import { cancellationFromPostgres } from './cancellation.ts';
import { completed, completedEvent } from './contract/completion.ts';
import type { Carried, RunResult } from './contract/inputs.ts';
import { gatesAreAtRest } from './gate.ts';
import { longAndAtRest, RestForContinueAsNew } from './history.ts';
import { nextVersion, projectionIsAtRest, saved } from './projection.ts';
import type { RunContext } from './run-context.ts';
import { changeRun, changeTask, record } from './state.ts';

/**
 * Runs a story to its end, whichever it is: completed with the output that the story returns, failed, or cancelled.
 * Readers, webhook and operators learn of it before the workflow ends. When the history has grown long, the run continues
 * as new with what is carried over.
 */
export async function runToEnd<Run extends RunContext>(
  run: Run,
  story: (run: Run) => Promise<string | null>,
  continueWith: (carried: Carried) => Promise<never>,
): Promise<RunResult> {
  const scope = new CancellationScope();
  try {
    const told = scope.run(() => storyToItsEnd(run, story));
    // Also without a branch that rests: while all wait for people, reminders make a history long.
    const atRest = longAndAtRest(run, () => isAtRest(run));
    let final_output_id: string | null | void;
    try {
      final_output_id = await Promise.race([told, atRest]);
    } catch (error) {
      if (!(error instanceof RestForContinueAsNew)) throw error;
      final_output_id = await atRest;
    }
    if (final_output_id === undefined) return await continueWith(carriedOver(run));

    record(run, completedEvent, whichEnd(run));
    // It was cancelled before it could complete.
    if ((await saved(run)) === 'cancelled') await cancellationFromPostgres();
    run.webhooks.send('completed', []);
    return { status: 'completed', final_output_id, error: null };
  } catch (error) {
    if (isCancellation(error)) await CancellationScope.nonCancellable(() => cancel(run));
    else if (error instanceof ApplicationFailure) {
      scope.cancel();
      await fail(run, error);
    }
    throw error;
  } finally {
    await run.webhooks.started();
  }
}

/** The run is completed with its story, also when its cancellation comes in the same moment. */
async function storyToItsEnd<Run extends RunContext>(
  run: Run,
  story: (run: Run) => Promise<string | null>,
): Promise<string | null> {
  const final_output_id = await story(run);
  changeRun(run, completed(final_output_id));
  return final_output_id;
}

function isAtRest(run: RunContext): boolean {
  return projectionIsAtRest(run) && gatesAreAtRest(run) && run.webhooks.isAtRest();
}

function carriedOver(run: RunContext): Carried {
  const { state, inbox, openings, webhooks } = run;
  return { state, version: nextVersion(run), answers: [...inbox], openings: [...openings], webhooks: webhooks.sent() };
}

async function cancel(run: RunContext): Promise<void> {
  closeTasks(run, 'cancelled');
  changeRun(run, { status: 'cancelled' });
  record(run, 'run.cancelled', whichEnd(run));
  // By an operator, in the moment after it was completed for its readers.
  const isTooLate = (await saved(run)) === 'completed';
  run.webhooks.send(isTooLate ? 'completed' : 'cancelled', []);
}

async function fail(run: RunContext, { message }: ApplicationFailure): Promise<void> {
  closeTasks(run, 'skipped');
  changeRun(run, { status: 'failed', error: message });
  record(run, 'run.failed', { error: message, ...whichEnd(run) });
  await saved(run);
  run.webhooks.send('failed', []);
}

/** Closes what is still open when the run ends early. */
function closeTasks(run: RunContext, status: 'cancelled' | 'skipped'): void {
  for (const task of run.state.tasks) {
    if (task.status === 'completed' || task.status === 'failed') continue;
    if (task.gate?.status === 'open') task.gate.status = 'closed';
    changeTask(run, task, { status });
  }
}

/** For the event of the end: a run that is tried again has more than one. */
function whichEnd({ attempt }: RunContext): { attempt?: number } {
  return attempt > 1 ? { attempt } : {};
}
