import { expect, test } from 'vitest';
import { resume, runSteps, startSteps } from '../harness/orchestration.ts';
import { ask, asked, llm, say, script, statuses, useReruns } from '../harness/rerun.ts';
import { useStory } from '../harness/story.ts';
import { upload } from '../harness/upload.ts';

/** `POST /runs/{id}/rerun` of the run of an orchestration: a new run that does a step of another again, and all after it. */

const story = useStory();
const { rerun, look, completed } = useReruns(story);

test('a step and all after it are done again, with the state as it was and as it is edited; the source stays as it is', async () => {
  const { model, user } = story;
  script(model);
  const steps = [
    llm('draft', { prompt_template: 'Draft {state.user_input}' }),
    llm('check', { prompt_template: 'Check {state.draft} for {state.tone}, {state.limits.words}: {state.user_input}' }),
    say('out', '{state.draft} {state.check} {state.tone} {state.limits.words}'),
  ];
  const initial_state = { tone: 'dry', limits: { words: 300 } };
  const source = await startSteps(user, steps, {
    initial_state,
    max_tokens: 500_000,
    metadata: { customer: 'c_17' },
    tags: ['post'],
  });
  expect(source.body.status).toBe('completed');
  const before = (await look(source)).body;
  model.calls.length = 0;

  const edits = { draft: 'A better draft.', limits: { words: 20 }, user_input: 'Shorter', new_one: null };
  const started = await rerun(source, 'check', { edits });
  expect(started.headers.get('location')).toBe(`/api/v1/runs/${started.body.run_id}`);
  const done = await completed(started);
  expect(asked(model)).toEqual(['check']);
  expect(model.calls[0]!.prompt).toContain('Check A better draft. for dry, 20: Shorter');
  expect(done).toMatchObject({
    message: 'Hello',
    response: 'A better draft. Output of check. dry 20',
    shared_state: { ...initial_state, ...edits, check: 'Output of check.', user_query: 'Hello' },
    warnings: [],
    usage: { llm_calls: 1 },
  });
  expect(statuses(done)).toEqual({ draft: ['completed', 0], check: ['completed', 1], out: ['completed', 0] });
  const run = await user.openRun(started.body.run_id).get();
  expect(run).toMatchObject({
    forked_from: source.body.run_id,
    orchestration_id: before.orchestration_id,
    max_tokens: 500_000,
    metadata: { customer: 'c_17' },
    tags: ['post'],
    final_output: 'A better draft. Output of check. dry 20',
    attempt: 1,
  });
  const { events } = (await user.get(`/runs/${started.body.run_id}/audit`)).body;
  expect(events[0]).toMatchObject({
    type: 'run.created',
    data: { forked_from: source.body.run_id, from_task: 'check', edited: Object.keys(edits) },
  });
  // What stands is what it was: an edit changes the state.
  expect(run.tasks.map(({ id, output, attempts }) => [id, output, attempts])).toEqual([
    ['draft', 'Output of draft.', 0],
    ['check', 'Output of check.', 1],
    ['out', 'A better draft. Output of check. dry 20', 1],
  ]);
  expect((await look(source)).body).toEqual(before);
});

test('branches beside the step stand, and what they had not done is done', async () => {
  const { model, user } = story;
  script(model);
  const source = await runSteps(user, [
    { id: 'fork', type: 'parallel', parallel_branches: [['left'], ['right'], ['slow', 'last']], next_step_id: 'all' },
    llm('left', { next_step_id: 'more' }),
    llm('more', { next_step_id: 'all', prompt_template: 'More {state.left}' }),
    llm('right', { next_step_id: 'all' }),
    llm('slow', { next_step_id: null }),
    ask('last', { next_step_id: null }),
    say('all', '{state.left} {state.more} {state.right} {state.slow}'),
  ]);
  expect(source.body.human_input_required).toMatchObject({ step_id: 'last' });
  await user.openRun(source.body.run_id).until(({ tasks }) => {
    return tasks.filter(({ status, kind }) => kind === 'ai' && status === 'completed').length === 4;
  });
  model.calls.length = 0;

  const started = await rerun(source, 'more', { edits: { left: 'Edited.' } });
  const again = user.openRun(started.body.run_id);
  await again.untilWaiting('last');
  await again.complete('last', { output: 'Fine.' });
  const done = await completed(started);
  expect(model.calls.map(({ task_id, prompt }) => [task_id, /More .*/.exec(prompt)?.[0]])).toEqual([
    ['more', 'More Edited.'],
  ]);
  expect(done.shared_state).toMatchObject({
    all: 'Edited. Output of more. Output of right. Output of slow.',
    left: 'Edited.',
    last: { response: 'Fine.' },
  });
  expect(Object.keys(statuses(done)).toSorted()).toEqual(['all', 'fork', 'last', 'left', 'more', 'right', 'slow']);
  await user.openRun(source.body.run_id).cancel();
});

test('iterations of a loop before the step stand', async () => {
  const { model, user } = story;
  script(model);
  const source = await runSteps(user, [
    say('tone', 'dry'),
    { id: 'loop', type: 'loop', loop_count: 3, loop_step_ids: ['write', 'note'], next_step_id: 'out' },
    llm('write', { prompt_template: 'Write {state.tone} after {state.note}', next_step_id: null }),
    say('note', 'Note on {state.write}', { next_step_id: null }),
    say('out', '{state.tone}: {state.write}'),
  ]);
  expect(source.body.status).toBe('completed');
  model.calls.length = 0;
  const done = await completed(await rerun(source, 'write.2', { edits: { tone: 'witty', note: 'nothing' } }));
  expect(model.calls.map(({ task_id, prompt }) => [task_id, /Write .*/.exec(prompt)![0]])).toEqual([
    ['write.2', 'Write witty after nothing'],
    ['write.3', 'Write witty after Note on Output of write.2.'],
  ]);
  expect(done.shared_state.write).toEqual([1, 2, 3].map((n) => expect.objectContaining({ iteration: n })));
  expect(done.shared_state.write.map(({ result }: any) => result)).toEqual([
    'Output of write.',
    'Output of write.2.',
    'Output of write.3.',
  ]);
  expect(done.response).toMatch(/^witty: /);

  // The loop as a whole, and from behind it.
  model.calls.length = 0;
  await completed(await rerun(source, 'loop'));
  expect(asked(model)).toEqual(['write', 'write.2', 'write.3']);
  model.calls.length = 0;
  expect((await completed(await rerun(source, 'out', { edits: { write: 'All.' } }))).response).toBe('dry: All.');
  expect(asked(model)).toEqual([]);
});

test('a person whose answer stands is not asked again, and what came with it is there; from a human step on they are', async () => {
  const { model, user, orchflow } = story;
  script(model);
  const keep = async (content: string) => (await upload(orchflow.url, user.api_key, content)).body.file_id;
  const [goal, more, late] = await Promise.all(['The brief', 'The prices', 'The rest'].map(keep));
  const fields = [{ name: 'ok', type: 'boolean' }];
  const source = await startSteps(
    user,
    [
      ask('first', { human_fields: fields }),
      ask('second', { human_prompt: 'Say {state.tone}?' }),
      llm('write', { prompt_template: 'Write {state.first.ok} {state.second.response}' }),
    ],
    { initial_state: { tone: 'dry' }, attachments: [goal] },
  );
  const run = user.openRun(source.body.run_id);
  await run.complete('first', { output: '{"ok": true}', attachments: [more] });
  await run.untilWaiting('second');
  await run.complete('second', { output: 'Yes.', attachments: [late] });
  await run.until('completed');
  model.calls.length = 0;

  const behind = await completed(await rerun(source, 'write'));
  expect(behind.shared_state).toMatchObject({ first: { ok: true }, human_response: { response: 'Yes.' } });
  for (const text of ['Write true Yes.', 'The brief', 'The prices', 'The rest'])
    expect(model.calls[0]!.prompt).toContain(text);
  model.calls.length = 0;

  const started = await rerun(source, 'second', { edits: { tone: 'a joke' } });
  const again = user.openRun(started.body.run_id);
  const waiting = await again.untilWaiting('second');
  expect(waiting.tasks.map(({ id, status, gate }) => [id, status, gate?.prompt])).toEqual([
    ['first', 'completed', undefined],
    ['second', 'waiting_human', 'Say a joke?'],
  ]);
  expect(waiting.tasks.map(({ attachments }) => attachments.map(({ file_id }) => file_id))).toEqual([[more], []]);
  expect((await look(started)).body).toMatchObject({
    status: 'paused',
    shared_state: { tone: 'a joke', first: { ok: true }, human_response: { ok: true } },
    waiting: [{ step_id: 'second', prompt: 'Say a joke?' }],
    step_history: [{ task_id: 'first', status: 'completed', started_at: null }, { task_id: 'second' }],
  });
  expect((await resume(user, started, 'No.')).body).toMatchObject({ status: 'completed' });
  for (const text of ['Write true No.', 'The brief', 'The prices']) expect(model.calls[0]!.prompt).toContain(text);
  expect(model.calls[0]!.prompt).not.toContain('The rest');
});

test('from the step at which a run has failed; of its tries those stand that are completed, under the ids that they have', async () => {
  const { model, user } = story;
  let refuses = true;
  model.on(({ task_id }) => (refuses ? { finish: 'refusal', text: 'No.' } : `Output of ${task_id}.`));
  const back = { if_condition: 'state.review.response === "yes"', if_true_step_id: null, if_false_step_id: 'draft' };
  const steps = [llm('draft'), ask('review'), { id: 'decide', type: 'if_else', ...back, next_step_id: null }];
  const failed = await runSteps(user, steps);
  expect(failed.body.status).toBe('failed');
  refuses = false;
  const mended = await rerun(failed, 'draft', { edits: { user_input: 'Hi' } });
  const mendedRun = user.openRun(mended.body.run_id);
  await mendedRun.untilWaiting('review');
  expect(model.calls.at(-1)!.prompt).toContain('Hi');
  await mendedRun.complete('review', { output: 'yes' });
  expect(statuses(await completed(mended))).toMatchObject({ draft: ['completed', 1] });

  const retried = await user.post(`/orchestrations/runs/${failed.body.run_id}/retry`, undefined);
  expect(retried.body.human_input_required).toMatchObject({ task_id: 'review' });
  await resume(user, retried, 'no');
  model.calls.length = 0;
  // `draft` has failed, `draft.2` stands: the next one must not be taken for it.
  const started = await rerun(failed, 'review');
  const again = user.openRun(started.body.run_id);
  await again.untilWaiting('review');
  await again.complete('review', { output: 'no' });
  const { tasks } = await again.untilWaiting('review.2');
  expect(tasks.map(({ id, status, output }) => [id, status, output])).toMatchObject([
    ['draft.2', 'completed', 'Output of draft.2.'],
    ['review', 'completed', expect.anything()],
    ['decide', 'completed', null],
    ['draft.3', 'completed', 'Output of draft.3.'],
    ['review.2', 'waiting_human', null],
  ]);
  expect(asked(model)).toEqual(['draft.3']);
  await again.complete('review.2', { output: 'yes' });
  await completed(started);
});
