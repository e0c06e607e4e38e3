import type { Activities } from '../activities/index.ts';
import { oneByOne, type ProjectedRun } from './projection.ts';
import { warn } from './state.ts';

/** How many reminders there may be is counted by account, in Postgres. */

type Taken = Awaited<ReturnType<Activities['takeReminders']>>;
type Batch = { wanted: number; readonly answer: Promise<Taken> };

export type RemindingRun = ProjectedRun & {
  /** `next`: those that come due at once are asked for together. */
  readonly reminders: { next?: Batch | undefined };
};

/** Takes one of the reminders that the account has left. False when there is none, and a warning may say so. */
export async function takeReminder(run: RemindingRun): Promise<boolean> {
  const batch = (run.reminders.next ??= openBatch(run));
  batch.wanted += 1;
  const place = batch.wanted;
  const { taken, warning } = await batch.answer;
  if (warning !== undefined) warn(run, warning);
  return place <= taken;
}

function openBatch(run: RemindingRun): Batch {
  const { state, reminders, projection } = run;
  const batch: Batch = {
    wanted: 0,
    answer: oneByOne(run, ({ takeReminders }) => {
      reminders.next = undefined;
      const { wanted } = batch;
      const summary = `reminders: ${wanted}`;
      // Also when the task is stopped that has asked first: others have joined it.
      return projection.regardless.run(() =>
        takeReminders.executeWithOptions({ summary }, [{ run_id: state.run_id, wanted }]),
      );
    }),
  };
  return batch;
}
