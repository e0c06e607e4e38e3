import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { startFakeModel, type FakeModel } from '../fakes/model.ts';
import { startOrchflow, until, type Orchflow, type User } from '../harness/orchflow.ts';
import { define } from '../harness/orchestration.ts';
import { endProcesses, startWorkerProcess } from '../harness/processes.ts';
import { replayHistories } from '../harness/replay.ts';

/** Workers that end in the middle of an orchestration. */

let orchflow: Orchflow;
let user: User;
let model: FakeModel;

beforeAll(async () => {
  orchflow = await startOrchflow({ worker: false });
});
afterAll(() => replayHistories(orchflow).finally(() => orchflow.stop()));

beforeEach(async () => {
  [user, model] = await Promise.all([orchflow.register(), startFakeModel()]);
  await user.addProvider(model);
});
afterEach(() => endProcesses(model));

test('a worker killed in the middle of parallel branches: another goes on, and only open calls are made again', async () => {
  let isDown = false;
  model.on(({ task_id }) =>
    task_id !== 'quick' && task_id !== 'first' && !isDown ? { hang: 'before_headers' } : `Output of ${task_id}.`,
  );
  const llm = (id: string, next_step_id: string) => ({ id, type: 'llm', output_key: id, next_step_id });
  const id = await define(user, [
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
  const worker = await startWorkerProcess(orchflow.env);
  const { body } = await user.post(`/orchestrations/${id}/run`, { message: 'Go' });
  expect(body.status).toBe('paused');
  const path = `/orchestrations/runs/${body.run_id}`;
  const statusOf = async (step_id: string) =>
    (await user.get(path)).body.step_history.find((step: any) => step.step_id === step_id)?.status;
  await until(async () => (await statusOf('quick')) === 'completed', 'quick is done');
  await model.until(() => model.openCalls === 2, 'two calls');
  await worker.kill();
  isDown = true;

  // Nobody is there to go on, and the answer is taken all the same.
  expect(await user.post(`${path}/resume?wait=0`, { response: 'Yes.' })).toMatchObject({ status: 202 });
  expect(await user.post(`${path}/resume?wait=0`, { response: 'No.' })).toMatchObject({ status: 409 });
  await startWorkerProcess(orchflow.env);
  await user.openRun(body.run_id).until('completed');
  const done = (await user.get(path)).body;
  expect(done.shared_state).toMatchObject({
    ask: { response: 'Yes.' },
    all: '[quick (quick)]:\nOutput of quick.\n\n[slow (slow)]:\nOutput of slow.\n\n[slower (slower)]:\nOutput of slower.',
  });
  const asked = model.calls.map(({ task_id }) => task_id!).toSorted();
  expect(asked).toEqual(['first', 'quick', 'slow', 'slow', 'slower', 'slower']);
  expect(done.usage.llm_calls).toBe(4);
});

test('a failed run that is tried again before Temporal knows of its end: the worker died with the news, and the try stands', async () => {
  const refusal = Promise.withResolvers<void>();
  model.on(async () => {
    await refusal.promise;
    return model.calls.length === 1 ? { finish: 'refusal', text: 'No.' } : 'Yes.';
  });
  const id = await define(user, [{ id: 'only', type: 'llm', output_key: 'only' }]);
  const worker = await startWorkerProcess(orchflow.env);
  const { body } = await user.post(`/orchestrations/${id}/run?wait=0`, { message: 'Go' });
  const path = `/orchestrations/runs/${body.run_id}`;
  await until(async () => (await user.get(path)).body.step_history[0]?.status === 'running', 'the step is shown');
  await model.until(() => model.openCalls === 1, 'the call');
  await orchflow.db.transaction().execute(async (lock) => {
    await sql`lock table runs in share mode`.execute(lock);
    refusal.resolve();
    const isBlocked = sql`
      select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`;
    await until(async () => (await isBlocked.execute(orchflow.db)).rows.length > 0, 'the failure is being written');
    await worker.kill();
  });
  await until(async () => (await user.get(path)).body.status === 'failed', 'readers see the failure');

  expect(await user.post(`${path}/retry?wait=0`, undefined)).toMatchObject({ status: 202 });
  await startWorkerProcess(orchflow.env);
  await user.openRun(body.run_id).until('completed');
  expect((await user.get(path)).body).toMatchObject({ attempt: 2, shared_state: { only: 'Yes.' } });
});
