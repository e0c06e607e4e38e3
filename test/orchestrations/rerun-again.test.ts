import { expect, test } from 'vitest';
import type { Answer } from '../harness/orchflow.ts';
import { define, resume, runSteps, startSteps } from '../harness/orchestration.ts';
import { expectFault, expectNoProvider, expectProblem } from '../harness/problem.ts';
import { untilGone } from '../harness/purged.ts';
import { send } from '../harness/raw.ts';
import { ask, llm, say, script, statuses, useReruns } from '../harness/rerun.ts';
import { countRows } from '../harness/rows.ts';
import { useStory } from '../harness/story.ts';

/** Reruns of orchestrations that are refused, rerun, retried, long, or of runs that are purged and old. */

const story = useStory({ RUN_HISTORY_LIMIT: '100' });
const { rerun, look, completed } = useReruns(story);

test('what cannot be done again is refused by name, and nothing is kept', async () => {
  const { user, orchflow } = story;
  const source = await runSteps(user, [say('one', 'One'), ask('two'), say('three', 'Three')]);
  const before = await countRows(orchflow.db);
  for (const [body, pointer] of [
    [{}, '/from_task'],
    [{ from_task: 'three' }, '/from_task'],
    [{ from_task: 'two.2' }, '/from_task'],
    [{ from_task: 'two', edits: { '1st': 'x' } }, '/edits/1st'],
    [{ from_task: 'two', edits: { __proto_: 'x' } }, '/edits/__proto_'],
    [{ from_task: 'two', edits: { a: 'x'.repeat(100_001) } }, '/edits/a'],
    [{ from_task: 'two', edits: { a: { b: ['\u0000'] } } }, '/edits/a/b/0'],
    [{ from_task: 'two', edits: Object.fromEntries(Array.from({ length: 101 }, (_, n) => [`k${n}`, n])) }, '/edits'],
    [{ from_task: 'two', edits: ['x'] }, '/edits'],
    [{ from_task: 'two', start_in: 'soon' }, '/start_in'],
  ] as const) {
    expectFault(await rerun(source, body.from_task as string, body), pointer);
  }
  expectNoProvider(await rerun(source, 'two', { provider_id: 'prv_unknown' }), '/provider_id');

  const other = await orchflow.register();
  const notFound = (id: string) => other.post(`/runs/${id}/rerun`, { from_task: 'two', edits: { a: 1 } });
  const [hidden, unknown] = await Promise.all([source.body.run_id, 'run_unknown'].map(notFound));
  expectProblem(hidden!, { status: 404, code: 'NOT_FOUND' });
  expect({ ...hidden!.body, request_id: '' }).toEqual({ ...unknown!.body, request_id: '' });

  const tasks = orchflow.db.updateTable('tasks').where('run_id', '=', source.body.run_id).where('id', '=', 'one');
  await tasks.set({ status: 'failed' }).execute();
  const detail = 'one must be completed before two can be done again.';
  expectProblem(await rerun(source, 'two'), {
    status: 409,
    code: 'RUN_NOT_READY',
    detail,
    run_status: 'waiting_human',
  });
  // A step that has failed itself may be the one.
  await tasks.set({ status: 'completed' }).execute();
  const { accounts: _, api_keys: __, ...rest } = before;
  expect(await countRows(orchflow.db)).toMatchObject(rest);
  await user.openRun(source.body.run_id).cancel();
});

test('of edits only so many hold, with those of the reruns before', async () => {
  const { orchflow } = story;
  const source = await runSteps(story.user, [say('one', '{state.k999}'), say('two', '{state.k0}')]);
  const first = await rerun(source, 'one', { edits: { a: 1 } });
  await completed(first);
  const values = Object.fromEntries(Array.from({ length: 1_000 }, (_, n) => [`k${n}`, { value: n }]));
  await orchflow.db
    .updateTable('runs')
    .set({ rerun_from: JSON.stringify({ steps: {}, edits: { 1: values } }) })
    .where('run_id', '=', first.body.run_id)
    .execute();
  expectFault(await rerun(first, 'two', { edits: { a: 1 } }), '/edits');
  const again = await rerun(first, 'one', { edits: { k0: 'none' } });
  expect((await completed(again)).shared_state).toMatchObject({ one: '999', two: 'none' });
});

test('a rerun is done again itself: edits stand where its steps do, and all that it took over may be purged meanwhile', async () => {
  const { model, user, orchflow } = story;
  script(model);
  const source = await startSteps(
    user,
    [
      say('one', 'One {state.tone}'),
      say('two', 'Two {state.tone}'),
      { id: 'fork', type: 'parallel', parallel_branches: [['left'], ['right']], next_step_id: 'out' },
      llm('left', { next_step_id: 'out', prompt_template: 'Left {state.tone} {state.size}' }),
      say('right', 'Right {state.tone} {state.size}', { next_step_id: 'out' }),
      say('out', '{state.one}, {state.two}, {state.left}, {state.right}, {state.tone}, {state.size}'),
    ],
    { initial_state: { tone: 'dry', size: 1 } },
  );
  expect(source.body.response).toBe('One dry, Two dry, Output of left., Right dry 1, dry, 1');
  const first = await rerun(source, 'two', { edits: { tone: 'witty', size: 2 } });
  expect((await completed(first)).response).toBe('One dry, Two witty, Output of left., Right witty 2, witty, 2');

  model.calls.length = 0;
  const later = await rerun(first, 'left', { edits: { size: 3 }, start_in: '1d' });
  const same = await rerun(first, 'two', { edits: { tone: 'loud' }, start_in: '1d' });
  const earlier = await rerun(first, 'one', { start_in: '1d' });
  const behind = await rerun(first, 'out', { edits: { tone: 'calm' }, start_in: '1d' });
  for (const { body } of [source, first]) {
    expect((await user.delete(`/runs/${body.run_id}?purge=true`)).status).toBe(200);
    await untilGone(orchflow.db, body.run_id);
  }
  expect((await look(later)).body).toMatchObject({
    status: 'running',
    pending_for: 'start_at',
    shared_state: { one: 'One dry', two: 'Two witty', tone: 'witty', size: 2 },
    step_history: ['one', 'two', 'right'].map((task_id) => ({ task_id, status: 'completed' })),
  });
  const responses: string[] = [];
  for (const one of [later, same, earlier, behind]) {
    expect((await user.patch(`/runs/${one.body.run_id}`, { start_in: '1s' })).status).toBe(200);
    responses.push((await completed(one)).response);
  }
  expect(responses).toEqual([
    'One dry, Two witty, Output of left., Right witty 2, witty, 3',
    'One dry, Two loud, Output of left., Right loud 2, loud, 2',
    'One dry, Two dry, Output of left., Right dry 1, dry, 1',
    'One dry, Two witty, Output of left., Right witty 2, calm, 2',
  ]);
  const lefts = model.calls.map(({ prompt }) => /Left .*/.exec(prompt)![0]);
  expect(lefts).toEqual(['Left witty 3', 'Left loud 2', 'Left dry 1']);
});

test('a rerun that has failed is tried again: the edits still hold, and what stands still does', async () => {
  const { model, user } = story;
  script(model);
  const source = await startSteps(
    user,
    [
      ask('who'),
      llm('first', { prompt_template: 'First {state.who.response} {state.tone}' }),
      llm('second', { prompt_template: 'Second {state.who.response} {state.tone}' }),
      say('out', '{state.who.response} {state.tone} {state.second}'),
    ],
    { initial_state: { tone: 'dry' } },
  );
  await resume(user, source, 'Ada');
  await user.openRun(source.body.run_id).until('completed');
  model.calls.length = 0;

  for (const [step, isTriedAgain] of [
    ['first', 'first.2'],
    ['second', 'second.2'],
  ] as const) {
    model.on(({ task_id }) => (task_id === step ? { finish: 'refusal', text: 'No.' } : `Output of ${task_id}.`));
    const started = await rerun(source, 'first', { edits: { who: { response: 'Eve' }, tone: 'witty' } });
    const failed = await user.openRun(started.body.run_id).until('failed');
    expect(failed.error).toMatch(/^Step/);
    expect((await user.post(`/runs/${started.body.run_id}/retry`, {})).status).toBe(200);
    expect((await completed({ ...started, status: 201 })).response).toMatch(/^Eve witty Output of second/);
    const tried = model.calls.filter(({ task_id }) => task_id === isTriedAgain);
    expect(tried.map(({ prompt }) => /(First|Second) Eve witty/.test(prompt))).toEqual([true]);
  }
});

test('a rerun that is long continues as new, with its edits', async () => {
  const { user, orchflow } = story;
  const steps = Array.from({ length: 25 }, (_, n) =>
    say(`step${n}`, `${n} {state.tone}${n === 24 ? ' {state.step0}' : ''}`),
  );
  const source = await startSteps(user, steps, { initial_state: { tone: 'dry' } });
  const started = await rerun(source, 'step1', { edits: { tone: 'witty', step0: 'Edited' } });
  const done = await completed(started);
  expect(done.shared_state).toMatchObject({
    step0: 'Edited',
    step1: '1 witty',
    step24: '24 witty Edited',
    tone: 'witty',
  });
  expect(Object.keys(statuses(done))).toHaveLength(25);
  const { events } = await orchflow.client.workflow.getHandle(started.body.run_id).fetchHistory();
  expect(events![0]!.workflowExecutionStartedEventAttributes!.continuedExecutionRunId).not.toBe('');
});

test('limits that a retry has passed lead the rerun nowhere else', async () => {
  const { user } = story;
  const refused = await refuse(
    await runSteps(user, [
      say('draft', 'Draft', { max_iterations: 2 }),
      { id: 'fork', type: 'parallel', parallel_branches: [['review']], next_step_id: 'decide', max_iterations: 2 },
      ask('review', { next_step_id: 'decide' }),
      {
        id: 'decide',
        type: 'if_else',
        if_condition: 'state.review.response === "yes"',
        if_true_step_id: 'end',
        if_false_step_id: 'draft',
        max_iterations: 9,
      },
      { id: 'end', type: 'end' },
    ]),
  );
  expect(refused.body.status).toBe('failed');
  const again = await user.post(`/orchestrations/runs/${refused.body.run_id}/retry`, undefined);
  expect(again.body.human_input_required).toMatchObject({ task_id: 'review.3' });
  for (const from_task of ['review.3', 'fork.3', 'draft.3']) {
    const started = await rerun(refused, from_task);
    await user.openRun(started.body.run_id).untilWaiting('review.3');
    expect((await resume(user, started, 'yes')).body).toMatchObject({ status: 'completed', warnings: [] });
  }
  await user.openRun(refused.body.run_id).cancel();

  async function refuse(paused: Answer): Promise<Answer> {
    return paused.body.status === 'paused' ? refuse(await resume(user, paused, 'no')) : paused;
  }
});

test('a run that 0.1.0 has started is done again too; the same request finds the same rerun', async () => {
  const { user, orchflow } = story;
  const id = await define(user, [say('one', '{state.topic}'), say('two', '{state.tone} {state.topic}')], {
    state_schema: { topic: {}, tone: { default: 'dry' } },
  });
  const source = await user.post(`/orchestrations/${id}/run`, { message: 'Cats' });
  await orchflow.db.updateTable('runs').set({ first_state: null }).where('run_id', '=', source.body.run_id).execute();
  const headers = { 'x-api-key': user.api_key, 'content-type': 'application/json', 'idempotency-key': 'again' };
  const body = JSON.stringify({ from_task: 'two', edits: { tone: 'witty' } });
  const post = () => send(orchflow.url, 'POST', `/api/v1/runs/${source.body.run_id}/rerun`, headers, body);
  const [first, second] = [await post(), await post()];
  expect(second.body).toEqual(first.body);
  expect((await completed(first)).shared_state).toMatchObject({ one: 'Cats', two: 'witty Cats', topic: 'Cats' });
});
