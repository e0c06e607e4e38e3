import { ApplicationFailure, CancellationScope, isCancellation } from '@temporalio/workflow';
import type { createGates } from './gate.ts';
import type { History } from './history.ts';
import type { Carried, RunResult } from './contract/inputs.ts';
import type { ProgressTracker } from './progress.ts';
import type { Webhooks } from './webhook.ts';

type Run = {
  run: ProgressTracker;
  webhooks: Webhooks;
  gates: ReturnType<typeof createGates>;
  history: History;
  /** Given when the run may be tried again: the events of its second end are others. */
  attempt?: number;
};

/**
 * Tells a run's story to its end, whichever it is: completed, failed, or cancelled. Readers, webhook and operators learn
 * of it before the workflow ends. When the history has grown long, the run continues as new with what is carried over.
 */
export async function toTheEnd(
  { run, webhooks, gates, history, attempt = 1 }: Run,
  tell: () => Promise<void>,
  continueWith: (carried: Carried) => Promise<never>,
): Promise<RunResult> {
  const story = new CancellationScope();
  const again = attempt > 1 ? { attempt } : {};
  try {
    await Promise.race([story.run(tell), history.longAndAtRest(isAtRest)]);
    if (run.state.phase !== 'done') await continueWith(carry());
    run.record('run.completed', again);
    // Cancelled in Postgres before it could complete there: the request is on its way here.
    if ((await run.saved()) === 'cancelled') await CancellationScope.current().cancelRequested;
    webhooks.send('completed', []);
    return { status: 'completed', final_output_id: run.state.final_output_id, error: null };
  } catch (error) {
    if (isCancellation(error)) await CancellationScope.nonCancellable(cancel);
    else if (error instanceof ApplicationFailure) await fail(error);
    throw error;
  } finally {
    await webhooks.started();
  }

  function isAtRest(): boolean {
    return run.isAtRest() && gates.isAtRest() && webhooks.isAtRest();
  }

  function carry(): Carried {
    return { state: run.state, version: run.nextVersion(), ...gates.carry(), webhooks: webhooks.sent() };
  }

  async function cancel(): Promise<void> {
    closeTasks('cancelled');
    run.changeRun({ status: 'cancelled' });
    run.record('run.cancelled', again);
    // By an operator, in the moment after it was completed for its readers.
    const isTooLate = (await run.saved()) === 'completed';
    webhooks.send(isTooLate ? 'completed' : 'cancelled', []);
  }

  async function fail(failure: ApplicationFailure): Promise<void> {
    story.cancel();
    closeTasks('skipped');
    run.changeRun({ status: 'failed', error: failure.message });
    run.record('run.failed', { error: failure.message, ...again });
    await run.saved();
    webhooks.send('failed', []);
  }

  /** Closes what is still open when the run ends early. */
  function closeTasks(status: 'cancelled' | 'skipped'): void {
    for (const task of run.state.tasks) {
      if (task.status === 'completed' || task.status === 'failed') continue;
      if (task.gate?.status === 'open') task.gate.status = 'closed';
      run.changeTask(task, { status });
    }
  }
}
