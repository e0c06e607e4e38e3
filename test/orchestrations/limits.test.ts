import { expect, test } from 'vitest';
import type { Answer } from '../harness/orchflow.ts';
import { resume, runSteps } from '../harness/orchestration.ts';
import { useStory } from '../harness/story.ts';

/** `max_iterations` where people are asked: what they have answered is never passed over into success. */

const story = useStory({ RUN_HISTORY_LIMIT: '100' });

type Steps = Parameters<typeof runSteps>[1];
const count = (id: string, more = {}) => ({
  id,
  type: 'transform',
  transform_code: `(state.${id} ?? 0) + 1`,
  output_key: id,
  ...more,
});
const ask = (id: string, more = {}) => ({ id, type: 'human', output_key: id, ...more });
const back = (to: string, more = {}) => ({
  id: 'decide',
  type: 'if_else',
  if_condition: 'state.review.response === "yes"',
  if_true_step_id: 'end',
  if_false_step_id: to,
  ...more,
});
const end = { id: 'end', type: 'end' };
const limited = { max_iterations: 2 };

/** What leads from a person back to where it asks again, and which step is entered too often then. */
const circles: [string, Steps, string][] = [
  [
    'a draft that is sent back',
    [count('draft', limited), ask('review', limited), back('draft', limited), end],
    'draft',
  ],
  ['a person who is asked again', [ask('review', limited), back('review', { max_iterations: 9 }), end], 'review'],
  [
    'a condition behind a person',
    [count('draft', { max_iterations: 9 }), ask('review', { max_iterations: 9 }), back('draft', limited), end],
    'decide',
  ],
  [
    'a circle through several steps',
    [
      count('plan', { max_iterations: 9 }),
      count('draft', limited),
      ask('review', { max_iterations: 9 }),
      back('plan', { max_iterations: 9 }),
      end,
    ],
    'draft',
  ],
  [
    'a switch',
    [
      count('draft', limited),
      ask('review', { max_iterations: 9 }),
      {
        id: 'decide',
        type: 'switch',
        switch_expression: 'state.review.response',
        switch_cases: { yes: 'end', no: 'draft' },
        switch_default_step_id: 'draft',
        max_iterations: 9,
      },
      end,
    ],
    'draft',
  ],
  [
    'a person in a branch',
    [
      count('draft', limited),
      {
        id: 'fork',
        type: 'parallel',
        parallel_branches: [['review'], ['other']],
        next_step_id: 'decide',
        max_iterations: 9,
      },
      ask('review', { next_step_id: 'decide' }),
      count('other', { next_step_id: 'decide' }),
      back('draft', { max_iterations: 9 }),
      end,
    ],
    'draft',
  ],
  [
    'a person in a loop',
    [
      count('draft', limited),
      {
        id: 'twice',
        type: 'loop',
        loop_count: 1,
        loop_step_ids: ['review'],
        next_step_id: 'decide',
        max_iterations: 9,
      },
      ask('review', { next_step_id: null }),
      back('draft', { max_iterations: 9, if_condition: 'state.review[0].result.response === "yes"' }),
      end,
    ],
    'draft',
  ],
  [
    'a circle inside a branch',
    [
      { id: 'fork', type: 'parallel', parallel_branches: [['draft']], next_step_id: null },
      count('draft', { ...limited, next_step_id: 'review' }),
      ask('review', { next_step_id: 'decide', max_iterations: 9 }),
      back('draft', { if_true_step_id: null, next_step_id: null, max_iterations: 9 }),
    ],
    'draft',
  ],
];

/** Says no as often as it is asked. */
async function refuse(paused: Answer): Promise<Answer> {
  let answer = paused;
  for (let n = 0; answer.body.status === 'paused' && n < 10; n += 1) answer = await resume(story.user, answer, 'no');
  return answer;
}

test.each(circles)('%s: the run fails, and says what would be lost', async (_, steps, step) => {
  const { user } = story;
  const refused = await refuse(await runSteps(user, steps));
  expect(refused.body.status).toBe('failed');
  expect(refused.body.response).toMatch(
    new RegExp(`^Step '${step}' was entered 2 times, and its \`max_iterations\` is 2: passing it over would pass`),
  );
  expect((await user.get(`/orchestrations/runs/${refused.body.run_id}`)).body.warnings).toEqual([]);

  // A retry goes there once more, as often as it is asked for, and nobody has to say again what they have said.
  const path = `/orchestrations/runs/${refused.body.run_id}/retry`;
  let again = await user.post(path, undefined);
  expect(again.body).toMatchObject({ status: 'paused', human_input_required: { step_id: 'review' } });
  expect((await refuse(again)).body.status).toBe('failed');
  again = await user.post(path, undefined);
  expect(again.body.status).toBe('paused');
  expect((await resume(user, again, 'yes')).body).toMatchObject({ status: 'completed' });
  const { step_history } = (await user.get(`/orchestrations/runs/${refused.body.run_id}`)).body;
  const done = step_history.filter(({ status }: { status: string }) => status === 'completed');
  expect(new Set(done.map(({ task_id }: { task_id: string }) => task_id)).size).toBe(done.length);
});

test('a round that a retry has opened outlasts that the run continues as new', async () => {
  const { user, orchflow } = story;
  const often = { max_iterations: 9 };
  const long = Array.from({ length: 18 }, (_, n) => count(`step${n}`, often));
  const refused = await refuse(
    await runSteps(user, [count('draft', limited), ...long, ask('review', limited), back('draft', often), end], {
      max_total_turns: 1_000,
    }),
  );
  expect(refused.body.status).toBe('failed');
  const again = await user.post(`/orchestrations/runs/${refused.body.run_id}/retry`, undefined);
  expect(again.body.human_input_required).toMatchObject({ task_id: 'review.3' });
  const { events } = await orchflow.client.workflow.getHandle(refused.body.run_id).fetchHistory();
  expect(events![0]!.workflowExecutionStartedEventAttributes!.continuedExecutionRunId).not.toBe('');
  expect((await resume(user, again, 'no')).body).toMatchObject({ human_input_required: { task_id: 'review.4' } });
  expect((await resume(user, again, 'yes')).body).toMatchObject({ status: 'completed' });
});

test('what a model or code does too often is passed over as before, also where a person was asked earlier', async () => {
  const { user } = story;
  const paused = await runSteps(user, [
    ask('topic'),
    count('draft', limited),
    { id: 'again', type: 'if_else', if_condition: 'true', if_true_step_id: 'draft', next_step_id: 'out' },
    { id: 'out', type: 'print', print_content: 'Counted to {state.draft}', output_key: 'out', next_step_id: null },
  ]);
  const { body } = await resume(user, paused, 'Cats.');
  expect(body).toMatchObject({ status: 'completed', response: 'Counted to 2' });
  const { warnings } = (await user.get(`/orchestrations/runs/${body.run_id}`)).body;
  expect(warnings).toEqual([
    "Step 'draft' was passed over after 2 times.",
    "Step 'again' was passed over after 3 times.",
  ]);
});

/** What a machine decides in a circle of its own, before or behind a person. */
const check = (more = {}) => ({
  id: 'check',
  type: 'if_else',
  if_condition: 'state.draft % 4 === 1',
  if_true_step_id: 'review',
  if_false_step_id: 'draft',
  next_step_id: null,
  ...more,
});

test('a circle of machines behind an answer does not end the run without the person', async () => {
  const { user } = story;
  const steps = [count('draft'), check(), ask('review', { next_step_id: 'decide' }), back('draft'), end];
  const paused = await runSteps(user, steps);
  expect(paused.body.status).toBe('paused');
  const refused = await resume(user, paused, 'no');
  expect(refused.body.status).toBe('failed');
  expect(refused.body.response).toContain('passing it over would pass over a person');
  const again = await user.post(`/orchestrations/runs/${refused.body.run_id}/retry`, undefined);
  expect(again.body).toMatchObject({ status: 'paused', human_input_required: { step_id: 'review' } });
  expect((await resume(user, again, 'yes')).body.status).toBe('completed');
});

test('a circle of machines before a person does not end the run without asking', async () => {
  const never = check({ if_condition: 'false' });
  const { body } = await runSteps(story.user, [count('draft'), never, ask('review'), end]);
  expect(body).toMatchObject({ status: 'failed', response: expect.stringContaining('pass over a person') });
  // Where the way past it leads to the person, they are asked.
  const past = check({ if_condition: 'false', next_step_id: 'review' });
  const asked = await runSteps(story.user, [count('draft'), past, ask('review'), end]);
  expect(asked.body.status).toBe('paused');
});
