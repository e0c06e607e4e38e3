import { eventOf } from './events.ts';
import { agentTaskId } from './plan.ts';
import type { Progress, RunState } from './states.ts';

/**
 * How a run is completed, said once for both who may do it. Its workflow completes it at the end of the story
 * (`ending.ts`). The activity that writes the final output of a goal does so before, in the same go, so that readers wait
 * for one write less; the workflow is told with the output, and has nothing more to write then. Both write the same, and
 * it makes no difference who was first.
 */

/** What a completed run is. */
export type Completed = Pick<RunState, 'status' | 'phase' | 'final_output_id'> & { status: 'completed' };

export function completed(final_output_id: string | null): Completed {
  return { status: 'completed', phase: 'done', final_output_id };
}

export const completedEvent = 'run.completed';

/** Progress that is dated when it is written, and only while the run is at the version that it `follows`. */
export type FollowingProgress = Omit<Progress, 'at'> & { follows: number };

/**
 * Whether the activity may do it at this attempt of the output, in this try of the run. Where a person has helped, the workflow
 * completes that task first; and the end of a later try names the try, which only the workflow does.
 */
export function mayComplete(attempt: number, runAttempt: number): boolean {
  return attempt === 1 && runAttempt === 1;
}

/**
 * The progress that rode with the activity, as this try of it writes it: with a version of its own. A try that comes too
 * late then finds that the run has gone on, and does not complete a run that another try has taken over.
 */
export function asTried(progress: Progress, tries: number): Progress {
  return { ...progress, version: progress.version + tries - 1 };
}

/**
 * The same of the activity that makes the only call of an agent that runs alone: its task is completed with the run. Undefined
 * also when that task did not ride along.
 */
export function completingAgentTask(
  { completes, progress }: { completes?: boolean; progress?: Progress },
  written: { output_id: string; warnings: string[] },
): FollowingProgress | undefined {
  const completing = completingProgress({ completes, progress }, written);
  const task = progress?.tasks.find(({ id }) => id === agentTaskId);
  if (!completing || !task) return undefined;
  const { output_id } = written;
  const { id: task_id, attempts: attempt, round } = task;
  return {
    ...completing,
    tasks: [{ ...task, status: 'completed', output_id }],
    events: [
      eventOf('agent.turn', { task_id, attempt, output_id }),
      eventOf('task.completed', { task_id, output_id, round }),
      ...completing.events,
    ],
  };
}

/**
 * What the activity writes after the progress that rode with it. Undefined when completing is up to the workflow: there
 * is nothing that it could follow, or there are warnings, which come before the end.
 */
export function completingProgress(
  { completes, progress }: { completes?: boolean; progress?: Progress },
  { output_id, warnings }: { output_id: string; warnings: string[] },
): FollowingProgress | undefined {
  if (!completes || !progress || warnings.length > 0) return undefined;
  const { version, run } = progress;
  return {
    version: version + 1,
    follows: version,
    run: { ...run, ...completed(output_id) },
    tasks: [],
    gates: [],
    events: [eventOf(completedEvent)],
  };
}
