import { expect, test } from 'vitest';
import { sql } from 'kysely';
import { define, runSteps } from '../harness/orchestration.ts';
import { startOrchflow, until } from '../harness/orchflow.ts';
import { useStory } from '../harness/story.ts';

/** Definitions are shared by their content: one goes when nobody needs it any more, and not before. */

const story = useStory();
const print = (print_content: string) => [{ id: 'print', type: 'print', print_content }];

const kept = async () =>
  (await story.orchflow.db.selectFrom('definitions').select('definition').execute()).map(
    ({ definition: { steps } }) => (steps[0] as unknown as { print_content: string }).print_content,
  );

test('a definition that no orchestration and no run refers to is deleted', async () => {
  const { user, orchflow } = story;
  const change = (id: string, print_content: string) =>
    user.put(`/orchestrations/${id}`, {
      name: 'Test',
      entry_step_id: 'print',
      steps: [{ name: 'print', ...print(print_content)[0], next_step_id: null }],
    });
  await user.delete(`/orchestrations/${await define(user, print('deleted'))}`);
  const replaced = await define(user, print('replaced'));
  await change(replaced, 'of an orchestration');
  await runSteps(user, print('of a run'));
  await orchflow.db
    .updateTable('definitions')
    .set({ kept_at: sql`now() - interval '2 hours'` })
    .execute();
  // Needed in a moment: it was there before, and is kept anew.
  const again = await define(user, print('deleted'));
  await user.delete(`/orchestrations/${again}`);
  expect((await kept()).toSorted()).toEqual(['deleted', 'of a run', 'of an orchestration', 'replaced']);

  // Each API keeps house when it begins.
  const another = await startOrchflow({ environment: orchflow.env, worker: false });
  await until(async () => !(await kept()).includes('replaced'), 'what nobody needs is gone');
  await another.stop();
  expect((await kept()).toSorted()).toEqual(['deleted', 'of a run', 'of an orchestration']);
});
