import { expect, test } from 'vitest';
import { completeTask } from '../../db/gates.ts';
import { actor } from '../harness/actor.ts';
import { until } from '../harness/orchflow.ts';
import { define, resume, runSteps as start } from '../harness/orchestration.ts';
import { useStory } from '../harness/story.ts';

/** People in orchestrations. */

const story = useStory();

const transform = (id: string, transform_code: string, more = {}) => ({
  id,
  type: 'transform',
  transform_code,
  output_key: id,
  ...more,
});

test('people are asked inside branches and loops, one after the other, and nothing is skipped', async () => {
  const ask = (id: string, more = {}) => ({
    id,
    type: 'human',
    human_prompt: `Say {state.user_input} ${id}`,
    output_key: id,
    next_step_id: null,
    ...more,
  });
  const { user } = story;
  let paused = await start(user, [
    { id: 'fork', type: 'parallel', parallel_branches: [['left'], ['right', 'after']], next_step_id: 'loop' },
    ask('left', { next_step_id: 'loop' }),
    ask('right'),
    transform('after', 'state.right.response + "!"', { next_step_id: null }),
    { id: 'loop', type: 'loop', loop_count: 2, loop_step_ids: ['round'], next_step_id: 'end' },
    ask('round'),
    { id: 'end', type: 'end' },
  ]);
  expect(paused.body).toMatchObject({ status: 'paused' });
  const path = `/orchestrations/runs/${paused.body.run_id}`;
  await expect
    .poll(async () => (await user.get(path)).body.waiting.map((one: any) => one.step_id).toSorted())
    .toEqual(['left', 'right']);
  paused = await resume(user, paused, 'from the right', { step_id: 'right' });
  expect(paused.body.human_input_required).toMatchObject({ step_id: 'left', prompt: 'Say Hello left', fields: [] });
  // The step behind the answered one begins meanwhile.
  await expect
    .poll(async () => {
      const { tasks } = await user.openRun(paused.body.run_id).get();
      return Object.fromEntries(tasks.map(({ id, description }) => [id, description]));
    })
    .toEqual({ fork: '', left: 'Say Hello left', right: 'Say Hello right', after: '' });
  paused = await resume(user, paused, { any: ['thing', 1] }, { gate_id: paused.body.human_input_required.gate_id });
  expect(paused.body.human_input_required).toMatchObject({ step_id: 'round', task_id: 'round' });
  paused = await resume(user, paused, 'one');
  expect(paused.body.human_input_required).toMatchObject({ step_id: 'round', task_id: 'round.2' });
  // Like any task of a run.
  expect(await user.post(`/runs/${paused.body.run_id}/tasks/round.2/complete`, { output: 'two' })).toMatchObject({
    status: 200,
  });
  await user.openRun(paused.body.run_id).until('completed');
  const done = await user.get(path);
  expect(done.body.shared_state).toMatchObject({
    left: { any: ['thing', 1] },
    right: { response: 'from the right' },
    after: 'from the right!',
    round: [
      { iteration: 1, agent: 'round', result: { response: 'one' } },
      { iteration: 2, agent: 'round', result: { response: 'two' } },
    ],
    human_response: { response: 'two' },
  });
});

test('who waits in `GET /runs/{id}` shows what is asked and filled in, for as long as it is open', async () => {
  const { user } = story;
  const human_fields = [
    { name: 'decision', type: 'select', label: 'Decision', options: 'approve,reject' },
    { name: 'colour', type: 'select', options: ['red', 'blue'], required: false },
    { name: 'notes' },
    { name: 'days', type: 'integer', min: 1, max: 14 },
  ];
  const paused = await start(user, [
    { id: 'both', type: 'parallel', parallel_branches: [['ask'], ['free']], next_step_id: 'again' },
    { id: 'ask', type: 'human', human_prompt: 'Publish {state.user_input}?', human_fields, next_step_id: 'again' },
    { id: 'free', type: 'human', next_step_id: 'again' },
    { id: 'again', type: 'human', human_prompt: 'Sure?', next_step_id: null },
  ]);
  const run = user.openRun(paused.body.run_id);
  const { tasks } = await run.until(({ waiting_tasks }) => waiting_tasks.length === 2);
  const shown = Object.fromEntries(tasks.map(({ id, gate }) => [id, gate && [gate.prompt, gate.fields]]));
  expect(shown).toEqual({
    both: null,
    ask: [
      'Publish Hello?',
      [
        { name: 'decision', type: 'select', label: 'Decision', options: 'approve,reject', required: true },
        { name: 'colour', type: 'select', label: null, options: ['red', 'blue'], required: false },
        { name: 'notes', type: 'text', label: null, options: null, required: false },
        { name: 'days', type: 'integer', label: null, options: null, required: false, min: 1, max: 14 },
      ],
    ],
    free: ['Please provide input to continue.', []],
  });
  expect((await user.get(`/runs/${run.run_id}/tasks`)).body.tasks).toEqual((await run.get()).tasks);
  const { body } = await user.get(`/orchestrations/runs/${run.run_id}`);
  const asked = body.waiting.find(({ step_id }: { step_id: string }) => step_id === 'ask');
  expect(asked.fields).toEqual([
    { name: 'decision', type: 'select', label: 'Decision', options: 'approve,reject' },
    { name: 'colour', type: 'select', options: ['red', 'blue'], required: false },
    { name: 'notes', type: 'text' },
    { name: 'days', type: 'integer', min: 1, max: 14 },
  ]);
  expect(JSON.stringify((await user.get('/runs')).body)).not.toContain('Publish Hello?');

  await run.complete('ask', { output: '{"decision": "approve"}' });
  await run.complete('free', { output: 'Free.' });
  const after = await run.untilWaiting('again');
  expect(after.tasks.map(({ id, gate }) => [id, gate?.prompt, gate?.fields])).toEqual([
    ['both', undefined, undefined],
    ['ask', null, null],
    ['free', null, null],
    ['again', 'Sure?', []],
  ]);
  expect(after.tasks[1]!.description).toBe('Publish Hello?');
  await run.cancel();
});

test('answers are held against the fields, over every way that they come', async () => {
  const human_fields = [
    { name: 'count', type: 'number', required: true },
    { name: 'sure', type: 'boolean' },
    { name: 'colour', type: 'select', options: ['red', 'blue'], required: false },
    { name: 'note', type: 'text' },
  ];
  const { user } = story;
  const paused = await start(user, [{ id: 'ask', type: 'human', human_fields, output_key: 'ask' }]);
  const faults = async (response: unknown) =>
    (await resume(user, paused, response)).body.errors.map(({ pointer }: { pointer: string }) => pointer);
  expect(await faults({ count: 'x', sure: 'yes', colour: 'green', note: {}, more: 1 })).toEqual([
    '/response/more',
    '/response/count',
    '/response/sure',
    '/response/colour',
    '/response/note',
  ]);
  expect(await faults({})).toEqual(['/response/count']);
  expect(await faults('just text')).toEqual(['/response']);

  const run = user.openRun(paused.body.run_id);
  expect(await run.complete('ask', { output: '{"count": "many"}' })).toMatchObject({
    status: 422,
    body: { errors: [{ pointer: '/output', detail: '"count" must be a number' }] },
  });
  const handle = story.orchflow.client.workflow.getHandle(paused.body.run_id);
  await handle.signal('completeTask', { task_id: 'ask', output: '{"count": "many"}' });
  await run.until((view) => view.warnings.length === 1);
  await handle.signal('completeTask', { task_id: 'ask', output: '{"count": 3, "colour": "red"}' });
  const done = await run.until('completed');
  expect(done.warnings).toEqual(['A signal for ask was not taken: count must be a number']);
  const { body } = await user.get(`/orchestrations/runs/${paused.body.run_id}`);
  expect(body.shared_state.ask).toEqual({ count: 3, colour: 'red' });
});

test('an answer that was accepted while the run failed stands when it is tried again: nobody is asked twice', async () => {
  const { user, model, orchflow } = story;
  const refusal = Promise.withResolvers<void>();
  model.on(async () => {
    await refusal.promise;
    return model.calls.length === 1 ? { finish: 'refusal', text: 'No.' } : 'Yes.';
  });
  const id = await define(user, [
    { id: 'fork', type: 'parallel', parallel_branches: [['ask'], ['write']], next_step_id: 'end' },
    { id: 'ask', type: 'human', output_key: 'ask', next_step_id: 'end' },
    { id: 'write', type: 'llm', output_key: 'write', next_step_id: 'end' },
    { id: 'end', type: 'end' },
  ]);
  const { body: paused } = await user.post(`/orchestrations/${id}/run`, { message: 'Go' });
  await model.waitForCall();
  const { account_id, run_id } = await orchflow.db
    .selectFrom('runs')
    .select(['account_id', 'run_id'])
    .where('run_id', '=', paused.run_id)
    .executeTakeFirstOrThrow();
  // By an API that dies before it can tell the run.
  const answer = { decision: 'approve' as const, output: 'Warm.', request_id: 'request_1' };
  const given = { account_id: account_id!, run_id, task_id: 'ask', by: actor, person_id: null, ...answer };
  const taken = await completeTask(orchflow.db, given);
  expect(taken.result).toBe('accepted');
  refusal.resolve();
  const path = `/orchestrations/runs/${run_id}`;
  await until(async () => (await user.get(path)).body.status === 'failed', 'the run has failed');
  // Its message, which is for the one who wrote it to deliver, may go now.
  await orchflow.db.updateTable('outbox').set({ next_attempt_at: new Date().toISOString() }).execute();

  const { body } = await user.post(`${path}/retry`, undefined);
  expect(body).toMatchObject({
    status: 'completed',
    shared_state: { ask: { response: 'Warm.' }, human_response: { response: 'Warm.' }, write: 'Yes.' },
  });
});

test('fifty people with long names may be waited for at once', async () => {
  const { user } = story;
  const ids = Array.from({ length: 50 }, (_, index) => `person-${'x'.repeat(39)}${10 + index}`);
  const human = { type: 'human', human_prompt: 'Say yes', next_step_id: null };
  const paused = await start(user, [
    { id: 'all', type: 'parallel', parallel_branches: ids.map((id) => [id]), next_step_id: null },
    ...ids.map((id) => ({ id, ...human })),
  ]);
  const run = user.openRun(paused.body.run_id);
  expect((await run.until(({ waiting_tasks }) => waiting_tasks.length === ids.length)).waiting_tasks).toEqual(ids);
  const handle = story.orchflow.client.workflow.getHandle(run.run_id);
  // Temporal hears of them a moment after the readers.
  await expect
    .poll(async () => {
      const { searchAttributes, status } = await handle.describe();
      return [status.name, ...(searchAttributes.OrchflowWaitingTasks as string[]).slice(0, 30)];
    })
    .toEqual(['RUNNING', ...ids.slice(0, 30)]);
  expect(await run.complete(ids.at(-1)!, { output: 'yes' })).toMatchObject({ status: 200 });
  await run.until(({ waiting_tasks }) => waiting_tasks.length === ids.length - 1);
});

test('what code makes of a text, and no text can hold, is not in what a person is asked', async () => {
  const { user } = story;
  const { body } = await start(user, [
    {
      id: 'make',
      type: 'transform',
      transform_code: '({ odd: "a" + String.fromCharCode(0, 0xd800) + "b" })',
      output_key: 'x',
    },
    { id: 'ask', type: 'human', human_prompt: 'Is {state.x.odd} right?', input_keys: ['x'] },
  ]);
  expect(body.human_input_required.prompt).toBe('Is a\ufffdb right?');
  const { status, body: run } = await user.get(`/runs/${body.run_id}`);
  expect([status, run.tasks[1].description]).toEqual([200, 'Is a\ufffdb right?']);
});
