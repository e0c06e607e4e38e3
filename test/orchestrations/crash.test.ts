import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { startFakeWebhook } from '../fakes/webhook.ts';
import { until } from '../harness/orchflow.ts';
import { define } from '../harness/orchestration.ts';
import { untilBlocked } from '../harness/rows.ts';
import { useStory } from '../harness/story.ts';

/** Workers that end in the middle of an orchestration. */

const story = useStory({}, { worker: false });

test('a worker killed in the middle of parallel branches: another goes on, and only open calls are made again', async () => {
  let isDown = false;
  story.model.on(({ task_id }) =>
    task_id !== 'quick' && task_id !== 'first' && !isDown ? { hang: 'before_headers' } : `Output of ${task_id}.`,
  );
  const llm = (id: string, next_step_id: string) => ({ id, type: 'llm', output_key: id, next_step_id });
  const id = await define(story.user, [
    llm('first', 'fork'),
    {
      id: 'fork',
      type: 'parallel',
      parallel_branches: [['quick'], ['slow'], ['slower'], ['ask']],
      next_step_id: 'all',
    },
    llm('quick', 'all'),
    llm('slow', 'all'),
    llm('slower', 'all'),
    { id: 'ask', type: 'human', output_key: 'ask', next_step_id: 'all' },
    { id: 'all', type: 'merge', input_keys: ['quick', 'slow', 'slower'], merge_strategy: 'concat', output_key: 'all' },
  ]);
  const worker = await story.startWorkerProcess();
  const { body } = await story.user.post(`/orchestrations/${id}/run`, { message: 'Go' });
  expect(body.status).toBe('paused');
  const path = `/orchestrations/runs/${body.run_id}`;
  const statusOf = async (step_id: string) =>
    (await story.user.get(path)).body.step_history.find((step: any) => step.step_id === step_id)?.status;
  await until(async () => (await statusOf('quick')) === 'completed', 'quick is done');
  await story.model.until(() => story.model.openCalls === 2, 'two calls');
  await worker.kill();
  isDown = true;

  // Nobody is there to go on, and the answer is taken all the same.
  expect(await story.user.post(`${path}/resume?wait=0`, { response: 'Yes.' })).toMatchObject({ status: 202 });
  expect(await story.user.post(`${path}/resume?wait=0`, { response: 'No.' })).toMatchObject({ status: 409 });
  await story.startWorkerHere();
  await story.user.openRun(body.run_id).until('completed');
  const done = (await story.user.get(path)).body;
  expect(done.shared_state).toMatchObject({
    ask: { response: 'Yes.' },
    all: '[quick (quick)]:\nOutput of quick.\n\n[slow (slow)]:\nOutput of slow.\n\n[slower (slower)]:\nOutput of slower.',
  });
  const asked = story.model.calls.map(({ task_id }) => task_id!).toSorted();
  expect(asked).toEqual(['first', 'quick', 'slow', 'slow', 'slower', 'slower']);
  expect(done.usage.llm_calls).toBe(4);
});

test('a worker killed while a gate waits: the next one tells, at once, that it is due, and each event comes once', async () => {
  const endpoint = await startFakeWebhook();
  const id = await define(story.user, [
    { id: 'ask', type: 'human', output_key: 'ask' },
    { id: 'say', type: 'print', print_content: 'Said {state.ask}', output_key: 'said' },
  ]);
  const worker = await story.startWorkerProcess();
  const terms = { gate_due_in: '4s', remind_every: '3s', on_timeout: 'approve', webhook_url: endpoint.url };
  const { body } = await story.user.post(`/orchestrations/${id}/run`, { message: 'Go', ...terms });
  await endpoint.untilReceived('waiting_human');
  await worker.kill();
  const due = Date.parse(body.human_input_required.due_at);
  await until(() => Date.now() > due + 500, 'the time is over');
  expect(await story.user.openRun(body.run_id).get()).toMatchObject({ status: 'waiting_human' });

  await story.startWorkerHere();
  const done = await story.user.openRun(body.run_id).until('completed');
  expect(done.final_output).toBe('Said {}');
  await endpoint.untilReceived('completed');
  await endpoint.close();
  const told = endpoint.requests.map(({ payload }) => payload.event).toSorted();
  expect(told.filter((event) => event !== 'gate.reminder')).toEqual(['completed', 'gate.overdue', 'waiting_human']);
});

test('a failed run that is tried again before Temporal knows of its end: the worker died with the news, and the try stands', async () => {
  const refusal = Promise.withResolvers<void>();
  story.model.on(async () => {
    await refusal.promise;
    return story.model.calls.length === 1 ? { finish: 'refusal', text: 'No.' } : 'Yes.';
  });
  const id = await define(story.user, [{ id: 'only', type: 'llm', output_key: 'only' }]);
  const worker = await story.startWorkerProcess();
  const { body } = await story.user.post(`/orchestrations/${id}/run?wait=0`, { message: 'Go' });
  const path = `/orchestrations/runs/${body.run_id}`;
  await until(async () => (await story.user.get(path)).body.step_history[0]?.status === 'running', 'the step is shown');
  await story.model.until(() => story.model.openCalls === 1, 'the call');
  await story.orchflow.db.transaction().execute(async (lock) => {
    await sql`lock table runs in share mode`.execute(lock);
    refusal.resolve();
    await untilBlocked(story.orchflow.db, 'the failure is being written');
    await worker.kill();
  });
  await until(async () => (await story.user.get(path)).body.status === 'failed', 'readers see the failure');

  expect(await story.user.post(`${path}/retry?wait=0`, undefined)).toMatchObject({ status: 202 });
  await story.startWorkerHere();
  await story.user.openRun(body.run_id).until('completed');
  expect((await story.user.get(path)).body).toMatchObject({ attempt: 2, shared_state: { only: 'Yes.' } });
});
