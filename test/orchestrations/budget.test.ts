import { expect, test } from 'vitest';
import { resume, startSteps } from '../harness/orchestration.ts';
import { useStory } from '../harness/story.ts';

/** What the run of an orchestration may spend: `max_cost_usd`, `max_tokens`, `on_budget`. */

const story = useStory();
/** 5,000 tokens of the fake. A call reserves some 8,200 and what it reads. */
const longText = 'x'.repeat(20_000);
const steps = ['first', 'second'].map((id) => ({ id, type: 'llm', prompt_template: `Do ${id}.`, output_key: id }));
const answerLong = () => story.model.on(({ task_id }) => (task_id === 'first' ? longText : 'Short.'));

test('at the limit a person decides, over either API; each approval grants it again', async () => {
  answerLong();
  const { user, model } = story;
  const paused = await startSteps(user, [...steps, { ...steps[0]!, id: 'third' }], {
    max_tokens: 12_000,
    on_budget: 'gate',
  });
  expect(paused.body).toMatchObject({
    status: 'paused',
    human_input_required: {
      step_id: '_budget_1',
      task_id: '_budget_1',
      agent_context: expect.stringMatching(/^Token limit exceeded: \d+ > max 12000 \(\d+ used/),
    },
  });
  const run = user.openRun(paused.body.run_id);
  expect(await run.get()).toMatchObject({ max_tokens: 12_000, max_cost_usd: null, on_budget: 'gate' });
  expect((await run.get()).tasks.at(-1)).toMatchObject({ id: '_budget_1', gate: { kind: 'budget', prompt: null } });
  expect(model.calls).toHaveLength(1);
  expect(await resume(user, paused, 'Go on.')).toMatchObject({
    status: 422,
    body: { errors: [{ pointer: '/response/decision' }] },
  });
  const done = await resume(user, paused, 'approve');
  expect(done.body).toMatchObject({ status: 'completed', response: 'Short.' });
  expect(done.body.step_history.map(({ task_id }: { task_id: string }) => task_id)).toEqual([
    'first',
    'second',
    'third',
  ]);
  expect((await run.get()).tasks.map(({ id, status }) => [id, status])).toContainEqual(['_budget_1', 'completed']);
});

test('a rejection fails the run; tried again it asks again, and goes on when that is approved', async () => {
  answerLong();
  const { user, model } = story;
  const paused = await startSteps(user, steps, { max_tokens: 12_000, on_budget: 'gate' });
  const failed = await resume(user, paused, { decision: 'reject', notes: 'Too much.' });
  expect(failed.body).toMatchObject({
    status: 'failed',
    step_history: [{ status: 'completed' }, { status: 'failed' }],
  });
  expect(failed.body.response).toMatch(/^Token limit exceeded: \d+ > max 12000$/);

  const again = await user.post(`/orchestrations/runs/${paused.body.run_id}/retry`, undefined);
  expect(again.body).toMatchObject({ status: 'paused', human_input_required: { task_id: '_budget_2' } });
  expect((await resume(user, again, 'approve')).body).toMatchObject({
    status: 'completed',
    shared_state: { first: longText, second: 'Short.' },
  });
  expect(model.calls).toHaveLength(2);
  const { tasks } = await user.openRun(paused.body.run_id).get();
  expect(tasks.map(({ id, gate }) => [id, gate?.decision ?? null])).toEqual([
    ['first', null],
    ['second', null],
    ['second.2', null],
    ['_budget_1', 'reject'],
    ['_budget_2', 'approve'],
  ]);
});

test('unless the run says otherwise, it fails at its limit', async () => {
  answerLong();
  const { body } = await startSteps(story.user, steps, { max_tokens: 12_000 });
  expect(body).toMatchObject({ status: 'failed' });
  expect(body.response).toMatch(/^Token limit exceeded: \d+ > max 12000$/);
  expect(story.model.calls).toHaveLength(1);
  expect(await story.user.openRun(body.run_id).get()).toMatchObject({ on_budget: 'fail' });
});

test('what a run may cost is what its definition says, or what its start says in place of it', async () => {
  story.model.on(() => 'Short.');
  const more = { max_total_cost_usd: 0.0001 };
  const poor = await startSteps(story.user, steps, {}, more);
  expect(poor.body.response).toMatch(/^Cost limit exceeded: \$0\.00\d+ > max \$0\.0001$/);
  const rich = await startSteps(story.user, steps, { max_cost_usd: 5 }, more);
  expect(rich.body).toMatchObject({ status: 'completed' });
  const other = await startSteps(story.user, steps, { max_cost_usd: 0.0002 }, { max_total_cost_usd: 5 });
  expect(other.body.response).toMatch(/> max \$0\.0002$/);
  expect(await story.user.openRun(other.body.run_id).get()).toMatchObject({ max_cost_usd: 0.0002, max_tokens: null });
});
