import { expect, test } from 'vitest';
import { fetchHistories } from '../harness/replay.ts';
import { useSteering } from '../harness/steering.ts';

/** A run whose history grows long continues as new, and is steered as before. */

const story = useSteering({ RUN_HISTORY_LIMIT: '100' });

test('a run that continues as new again and again is steered as before', async () => {
  const run = await story.startWaiting();
  for (let n = 2; n <= 6; n += 1) {
    await story.steer(run, 'T2', 'retry', { feedback: `Again, ${n}.` });
    await run.until(({ tasks }) => tasks[1]!.attempts === n && tasks[1]!.status === 'waiting_human');
    await run.complete('T2', { decision: 'approve' });
    await run.untilWaiting('T4');
  }
  const done = await story.approveRest(run, 'T4');
  expect(done.tasks[1]!.output).toBe('T2, written 6.');
  expect(done.tasks[0]!.attempts).toBe(1);
  expect((await fetchHistories(story.orchflow.client, run.run_id)).length).toBeGreaterThan(1);
});
