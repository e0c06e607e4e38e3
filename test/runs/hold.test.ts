import { expect, test } from 'vitest';
import { until, type TestRun } from '../harness/orchflow.ts';
import { define } from '../harness/orchestration.ts';
import { expectFault, expectProblem } from '../harness/problem.ts';
import { useStory } from '../harness/story.ts';

/** A run that is held begins nothing new until it is released. */

const story = useStory();

const hold = ({ run_id }: Pick<TestRun, 'run_id'>, body?: object) => story.user.post(`/runs/${run_id}/hold`, body);
const release = ({ run_id }: Pick<TestRun, 'run_id'>, body?: object) =>
  story.user.post(`/runs/${run_id}/release`, body);

/** Its workflow has met that it is held, and waits. */
async function waits(run_id: string): Promise<boolean> {
  const { events } = await story.orchflow.client.workflow.getHandle(run_id).fetchHistory();
  return (events ?? []).some(({ activityTaskFailedEventAttributes: failed }) =>
    failed?.failure?.message?.startsWith('This run is held'),
  );
}

test('what is in flight ends and is kept, nothing new is begun, and a release goes on with the rest', async () => {
  const answer = Promise.withResolvers<undefined>();
  const run = await story.start({
    execute: ({ task_id }) => (task_id === 'T1' ? answer.promise : undefined),
    dependencies: { T2: ['T1'], T3: ['T2'] },
  });
  await story.model.until(() => story.model.callsFor('execute').length === 1);
  const held = await hold(run, { note: 'The price list changes.' });
  expect(held.status).toBe(200);
  const { held_at } = held.body;
  expect((await run.get()).held_at).toBe(held_at);
  answer.resolve(undefined);
  await until(() => waits(run.run_id), 'the workflow waits');
  expect(story.model.callsFor('evaluate')).toHaveLength(0);
  expect(await run.task('T1')).toMatchObject({ status: 'running', output: 'Output of T1.', attempts: 1 });
  expect((await hold(run)).body.held_at).toBe(held_at);

  expect((await release(run)).body).toMatchObject({ run_id: run.run_id, held_at: null });
  const done = await run.until('completed');
  expect(done).toMatchObject({ held_at: null, tasks: [{ attempts: 1 }, { attempts: 1 }, { attempts: 1 }] });
  expect(story.prompts('T1')).toHaveLength(1);
  const { events } = (await story.user.get(`/runs/${run.run_id}/audit`)).body;
  const told = events.filter(({ type }: { type: string }) => ['run.held', 'run.released'].includes(type));
  expect(told.map(({ type, data }: any) => [type, data.by.kind, data.note])).toEqual([
    ['run.held', 'key', 'The price list changes.'],
    ['run.released', 'key', undefined],
  ]);
});

test('what is held while an answer is asked for that the first one was none, is not judged before the release', async () => {
  const answer = Promise.withResolvers<undefined>();
  const asked = () => story.model.callsFor('execute').length;
  const run = await story.start({
    execute: ({ task_id }) => (task_id === 'T1' ? (asked() === 1 ? '' : answer.promise) : undefined),
    dependencies: { T2: ['T1'], T3: ['T2'] },
  });
  await story.model.until(() => asked() === 2);
  expect((await hold(run)).status).toBe(200);
  answer.resolve(undefined);
  await until(() => waits(run.run_id), 'the workflow waits');
  expect(story.model.callsFor('evaluate')).toHaveLength(0);
  await release(run);
  await run.until('completed');
});

test.for(['split', 'infer', 'evaluate'] as const)(
  'what was answered in vain is not asked again before the release: %s',
  async (purpose) => {
    const inVain = Promise.withResolvers<string>();
    const asked = () => story.model.callsFor(purpose).length;
    const run = await story.start({
      dependencies: { T2: ['T1'], T3: ['T2'] },
      [purpose]: () => (asked() === 1 ? inVain.promise : undefined),
    });
    await story.model.until(() => asked() === 1);
    await hold(run);
    inVain.resolve('I would rather not say.');
    await until(() => waits(run.run_id), 'the workflow waits');
    expect(asked()).toBe(1);
    await release(run);
    const done = await run.until('completed');
    expect(done.warnings).toEqual([]);
    expect(asked()).toBe(purpose === 'evaluate' ? 4 : 2);
  },
);

test('a run that is held before it begins plans nothing; people answer meanwhile, and it can be cancelled', async () => {
  await story.orchflow.stopWorker();
  const run = await story.start({}, { ask_me_about: ['the budget'] });
  await hold(run);
  await story.orchflow.startWorker();
  await until(() => waits(run.run_id), 'the workflow waits');
  expect(story.model.calls).toHaveLength(0);
  await release(run);
  await run.untilWaiting('T1');
  await hold(run);
  const answered = await run.complete('T1', { output: 'Ten euros.' });
  expect(answered).toMatchObject({ status: 200, body: { message: expect.stringContaining('The run is held') } });
  await until(async () => (await run.task('T1')).status === 'completed', 'the answer is taken');
  const told = (await story.user.get(`/runs/${run.run_id}/audit`)).body.events.map(({ type }: any) => type);
  expect(told).not.toContain('task.started');
  expect((await run.get()).tasks.slice(1).map(({ status }) => status)).toEqual(['pending', 'pending', 'pending']);
  await run.cancel();
  await run.until('cancelled');
  expect(story.model.callsFor('execute')).toHaveLength(0);
  const finished = { status: 409, code: 'RUN_FINISHED', run_status: 'cancelled' };
  expectProblem(await release(run), finished);
  expectProblem(await hold(run), finished);
});

test('a release that gets lost on its way is found, and one that comes before the workflow waits is heard', async () => {
  const run = await story.start({ dependencies: { T2: ['T1'] } }, { ask_me_about: ['the budget'] });
  await run.untilWaiting('T1');
  await hold(run);
  await run.complete('T1', { output: 'Ten euros.' });
  await until(async () => (await run.task('T1')).status === 'completed', 'the answer is taken');
  // As when the process of the release before has delivered it, which knows no such message.
  await story.orchflow.db.updateTable('runs').set({ held_at: null }).where('run_id', '=', run.run_id).execute();
  await run.until('completed');
});

test('an orchestration is held in the same way, and the time of its steps does not run out', async () => {
  const id = await define(story.user, [
    { id: 'ask', type: 'human', human_prompt: 'What?' },
    { id: 'say', type: 'llm', prompt_template: 'Say it.', timeout_seconds: 2, output_key: 'said' },
  ]);
  story.model.on(() => 'Said.');
  const paused = await story.user.post(`/orchestrations/${id}/run`, {
    message: 'Go.',
    provider_id: story.provider_id,
  });
  const { run_id } = paused.body;
  const read = async () => (await story.user.get(`/orchestrations/runs/${run_id}`)).body;
  const { held_at } = (await hold({ run_id })).body;
  const resumed = await story.user.post(`/orchestrations/runs/${run_id}/resume?wait=0`, { response: 'This.' });
  expect(resumed.body.message).toMatch(/^The run is held, and goes on when it is released\. Read it/);
  await until(async () => (await read()).step_history[0].status === 'completed', 'the answer is taken');
  expect(await read()).toMatchObject({ status: 'running', held_at, step_history: [{ step_id: 'ask' }] });
  expect((await story.user.get('/orchestrations/runs')).body.runs[0]).toMatchObject({ run_id, held_at });
  await release({ run_id });
  await until(
    async () => (await story.user.get(`/orchestrations/runs/${run_id}`)).body.status === 'completed',
    'it ends',
  );
}, 60_000);

test('one that has failed while it was held is released, and goes on when it is tried again', async () => {
  const ask = { id: 'ask', type: 'human', human_timeout_seconds: 1, next_step_id: 'say' };
  const id = await define(story.user, [ask, { id: 'say', type: 'print', print_content: 'Said.', output_key: 'said' }]);
  const { run_id } = (await story.user.post(`/orchestrations/${id}/run`, { message: 'Go.' })).body;
  const run = story.user.openRun(run_id);
  await hold({ run_id });
  await run.until('failed');
  const again = await story.user.post(`/runs/${run_id}/retry`, {});
  expect(again.body).toMatchObject({ attempt: 2, message: 'The run is held, and goes on when it is released.' });
  await release({ run_id });
  await run.untilWaiting('ask.2');
  await hold({ run_id });
  await run.until('failed');
  const freed = await release({ run_id }, { note: 'Now.' });
  expect(freed).toMatchObject({ status: 200, body: { held_at: null, message: expect.stringContaining('retried') } });
  expectProblem(await release({ run_id }), { status: 409, code: 'RUN_FINISHED', run_status: 'failed' });
  expectProblem(await hold({ run_id }), { status: 409, code: 'RUN_FINISHED', run_status: 'failed' });
  await story.user.post(`/orchestrations/runs/${run_id}/retry?wait=0`, undefined);
  await run.untilWaiting('ask.3');
  await run.complete('ask.3', { output: '{}' });
  await run.until('completed');
});

test('a body may be left out, also where a client says that JSON comes', async () => {
  const run = await story.start({}, { ask_me_about: ['the budget'] });
  const headers = { 'x-api-key': story.user.api_key, 'content-type': 'application/json' };
  for (const how of ['hold', 'release']) {
    const url = `${story.orchflow.url}/api/v1/runs/${run.run_id}/${how}`;
    expect((await fetch(url, { method: 'POST', headers })).status).toBe(200);
    const keyed = { 'x-api-key': story.user.api_key, 'idempotency-key': how };
    expect((await fetch(url, { method: 'POST', headers: keyed })).status).toBe(200);
  }
  await run.cancel();
});

test('who may not is refused, and a body that is wrong', async () => {
  const run = await story.start({}, { ask_me_about: ['the budget'] });
  await run.untilWaiting('T1');
  expectFault(await hold(run, { reason: 'x' }), '/reason');
  const other = await story.orchflow.register();
  for (const how of ['hold', 'release']) {
    expectProblem(await other.post(`/runs/${run.run_id}/${how}`, {}), { status: 404, code: 'NOT_FOUND' });
  }
  expect((await run.get()).held_at).toBeNull();
  await run.cancel();
});
