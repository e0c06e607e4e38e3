import { expect, test } from 'vitest';
import { findStoredRun, startAgain } from '../../db/reconcile.ts';
import { until } from '../harness/orchflow.ts';
import { define } from '../harness/orchestration.ts';
import { useStory } from '../harness/story.ts';

/** Workers that end, and workflows that are lost, in the middle of a rerun of an orchestration. */

const story = useStory({}, { worker: false });

const llm = (id: string, prompt_template: string, next_step_id: string) => ({
  id,
  type: 'llm',
  output_key: id,
  prompt_template,
  next_step_id,
});

/** The rerun, from a step in a branch on, of a run in which a person was asked. Its model answers no more. */
async function startRerun() {
  const { user, model } = story;
  model.on(({ task_id }) => `Output of ${task_id}.`);
  const id = await define(user, [
    { id: 'ask', type: 'human', output_key: 'ask' },
    {
      id: 'fork',
      type: 'parallel',
      parallel_branches: [['left'], ['right']],
      next_step_id: 'all',
    },
    llm('left', 'Left {state.tone}', 'more'),
    llm('more', 'More {state.tone}', 'all'),
    llm('right', 'Right {state.tone}', 'all'),
    {
      id: 'all',
      type: 'print',
      print_content: '{state.ask.response} {state.tone} {state.left} {state.more} {state.right}',
      output_key: 'all',
    },
  ]);
  const request = { message: 'Go', initial_state: { tone: 'dry' } };
  const { body } = await user.post(`/orchestrations/${id}/run`, request);
  const source = user.openRun(body.run_id);
  await source.complete('ask', { output: 'Yes.' });
  await source.until('completed');

  model.calls.length = 0;
  let hangs = true;
  model.on(() => (hangs ? { hang: 'before_headers' } : undefined));
  const edited = { from_task: 'left', edits: { tone: 'witty' } };
  const again = user.openRun((await user.post(`/runs/${source.run_id}/rerun`, edited)).body.run_id);
  await model.until(() => model.openCalls === 1, 'the step that is done again');
  const letGo = () => {
    hangs = false;
  };
  return { again, letGo };
}

const asked = () => story.model.calls.map(({ task_id, prompt }) => [task_id, /(Left|More|Right) \w+/.exec(prompt)![0]]);
const result = 'Yes. witty Output of left. Output of more. Output of right.';

test('a worker killed in the middle of a rerun: another goes on, and nothing that stands is done again', async () => {
  const worker = await story.startWorkerProcess();
  const { again, letGo } = await startRerun();
  await worker.kill();
  letGo();
  await story.startWorkerHere();
  expect(await again.until('completed')).toMatchObject({ final_output: result, usage: { llm_calls: 2 } });
  expect(asked()).toEqual([
    ['left', 'Left witty'],
    ['left', 'Left witty'],
    ['more', 'More witty'],
  ]);
});

test('a rerun that is begun anew, as `npm run reconcile` does, has its edits and all that stands', async () => {
  const { orchflow, model } = story;
  await story.startWorkerHere();
  const { again, letGo } = await startRerun();
  letGo();
  const isTaken = async () => startAgain(orchflow.db, (await findStoredRun(orchflow.db, again.run_id))!);
  await until(isTaken, 'it is as it was read');
  expect(await again.until('completed')).toMatchObject({ final_output: result, warnings: [] });
  expect(model.calls.filter(({ task_id }) => task_id === 'right')).toEqual([]);
  expect(new Set(asked().map(([, prompt]) => prompt))).toEqual(new Set(['Left witty', 'More witty']));
});
