import { expect, test } from 'vitest';
import { until } from '../harness/orchflow.ts';
import { define, runSteps } from '../harness/orchestration.ts';
import { useStory } from '../harness/story.ts';

/** Whatever one account makes slow, the work of another goes on. */

const places = 50;
const story = useStory({ WORKER_PLACES: String(places), MAX_WORK_MB_PER_ACCOUNT: '15' });

/** Starts an orchestration of the user so many times, and does not wait for it. */
async function startMany(times: number, steps: Parameters<typeof define>[1]): Promise<string[]> {
  const id = await define(story.user, steps);
  const start = () => story.user.post(`/orchestrations/${id}/run?wait=0`, { message: 'Go.' });
  const answers = await Promise.all(Array.from({ length: times }, start));
  return answers.map(({ body }) => body.run_id as string);
}

const statusesOf = (run_ids: string[]) =>
  Promise.all(run_ids.map(async (run_id) => (await story.user.get(`/orchestrations/runs/${run_id}`)).body.status));

async function cancel(run_ids: string[]): Promise<void> {
  await Promise.all(run_ids.map((run_id) => story.user.post(`/orchestrations/runs/${run_id}/cancel`, {})));
  const { client } = story.orchflow;
  await Promise.all(
    run_ids.map((run_id) =>
      client.workflow
        .getHandle(run_id)
        .result()
        .catch(() => {}),
    ),
  );
}

test('calls to a model that never answers leave places for others', async () => {
  story.model.on(() => ({ hang: 'before_headers' }));
  const calls = Array.from({ length: places }, (_, n) => ({ id: `ask${n}`, type: 'llm', next_step_id: null }));
  const branches = calls.map(({ id }) => [id]);
  const hanging = await startMany(1, [
    { id: 'all', type: 'parallel', parallel_branches: branches, next_step_id: null },
    ...calls,
  ]);
  const most = (places * 4) / 5;
  await story.model.until(() => story.model.openCalls === most, 'all places of one account are taken');

  const other = await story.orchflow.register();
  const { body } = await runSteps(other, [{ id: 'ask', type: 'llm', output_key: 'said' }]);
  expect(body).toMatchObject({ status: 'completed' });
  expect(story.model.openCalls).toBe(most);
  const told = async () => JSON.stringify((await story.user.get(`/runs/${hanging[0]}`)).body.tasks);
  expect(await told()).not.toContain('failed');
  await cancel(hanging);
  await until(() => story.model.openCalls === 0, 'all calls are closed');
});

const make = (id: string) => ({
  id,
  type: 'transform',
  transform_code: "'x'.repeat(600000)",
  output_key: id,
});

test('what an account holds at once has a bound: calls beyond it wait for their turn, and hold nothing', async () => {
  const { promise: answer, resolve: go } = Promise.withResolvers<string>();
  story.model.on(() => answer);
  const prompt_template = '{state.long}';
  const calls = Array.from({ length: 6 }, (_, n) => ({
    id: `ask${n}`,
    type: 'llm',
    prompt_template,
    next_step_id: null,
  }));
  const branches = calls.map(({ id }) => [id]);
  const all = { id: 'all', type: 'parallel', parallel_branches: branches, next_step_id: null };
  const [run_id] = await startMany(1, [make('long'), all, ...calls]);
  // Six times 600,000 bytes each: of 15 MiB that is four.
  await story.model.until(() => story.model.openCalls === 4, 'as many calls as there is room for');
  const handle = story.orchflow.client.workflow.getHandle(run_id!);
  const waiting = async () => {
    const { raw } = await handle.describe();
    const messages = raw.pendingActivities!.map(({ lastFailure }) => lastFailure?.message ?? '');
    return messages.filter((message) => message.includes('holds much at once')).length === 2;
  };
  await until(waiting, 'the others wait');
  expect(story.model.openCalls).toBe(4);
  go('Done.');
  await until(async () => (await statusesOf([run_id!]))[0] === 'completed', 'all have had their turn');
  expect(story.model.maxOpenCalls).toBe(4);
});

test('a work that is larger than that goes when it is alone', async () => {
  story.model.on(() => 'Done.');
  const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
  const ask = { id: 'ask', type: 'llm', input_keys: keys, output_key: 'said' };
  const { body } = await runSteps(story.user, [...keys.map(make), ask]);
  expect(body).toMatchObject({ status: 'completed', shared_state: { said: 'Done.' } });
});

test('scripts that never end leave a thread for others', async () => {
  const endless = await startMany(12, [{ id: 'loop', type: 'transform', transform_code: 'while (true) {}' }]);
  await until(async () => (await statusesOf(endless)).every((status) => status === 'running'), 'all have begun');
  const other = await story.orchflow.register();
  const { body } = await runSteps(other, [
    { id: 'sum', type: 'transform', transform_code: '1 + 1', output_key: 'sum' },
  ]);
  expect(body).toMatchObject({ status: 'completed', shared_state: { sum: 2 } });
  expect(await statusesOf(endless)).toEqual(Array(12).fill('running'));
  await cancel(endless);
});
