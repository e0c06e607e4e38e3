import { expect, test } from 'vitest';
import { sql } from 'kysely';
import { startOrchflow, until } from '../harness/orchflow.ts';
import { tablesWith } from '../harness/rows.ts';
import { useStory } from '../harness/story.ts';

/** `RUN_RETENTION_DAYS`: runs are purged so long after their end, by whichever API keeps house. */

const story = useStory();

test('runs that ended longer ago are purged; those that ended later, or have not ended, stay', async () => {
  const { orchflow, user } = story;
  const { db } = orchflow;
  const [old, older, young] = [await story.start({}), await story.start({}), await story.start({})];
  const waiting = await story.start({}, { ask_me_about: ['x'] });
  for (const run of [old, older, young]) await run.until('completed');
  await waiting.untilWaiting('T1');
  const age = async (run_id: string, days: number) => {
    const moment = sql<string>`now() - make_interval(days => ${days})`;
    const times = run_id === waiting.run_id ? {} : { completed_at: moment };
    await db
      .updateTable('runs')
      .set({ created_at: moment, ...times })
      .where('run_id', '=', run_id)
      .execute();
  };
  await Promise.all([age(old.run_id, 31), age(older.run_id, 400), age(young.run_id, 29), age(waiting.run_id, 400)]);

  // Each API keeps house when it begins. Without the setting, nothing is too old.
  await (await startOrchflow({ environment: orchflow.env, worker: false })).stop();
  expect((await user.get('/runs')).body.runs).toHaveLength(4);
  const environment = { ...orchflow.env, RUN_RETENTION_DAYS: '30' };
  const another = await startOrchflow({ environment, worker: false });
  for (const { run_id } of [old, older]) {
    await until(async () => (await tablesWith(db, 'run_id', run_id)).length === 0, `nothing of ${run_id} is left`);
  }
  await another.stop();
  expect((await user.get(`/runs/${old.run_id}`)).status).toBe(404);
  expect(await young.get()).toMatchObject({ status: 'completed', final_output: 'The final output.' });
  expect(await waiting.get()).toMatchObject({ status: 'waiting_human' });
  await waiting.cancel();
});
