import { expect, test } from 'vitest';
import { until } from '../harness/orchflow.ts';
import { define, resume } from '../harness/orchestration.ts';
import { fetchHistories } from '../harness/replay.ts';
import { useStory } from '../harness/story.ts';

/** However many people are waited for, and whatever they are shown: no bound of Temporal's ends a run. */

const story = useStory();
const emoji = '👩‍👩‍👧‍👦';
const long = (text: string, length: number) => text.padEnd(length, '_');

async function untilWaiting(run_id: string, count: number): Promise<void> {
  const gates = story.orchflow.db.selectFrom('gates').select('gate_id').where('run_id', '=', run_id);
  const open = gates.where('status', '=', 'open');
  await until(async () => (await open.execute()).length === count, `${count} wait`);
}

test('190 people at once, with the longest ids and names', async () => {
  const human = (n: number) => ({
    id: long(`ask${n}`, 48),
    name: `${n} ${emoji.repeat(5)}`,
    type: 'human',
    human_prompt: emoji.repeat(50),
    next_step_id: null,
  });
  const people = Array.from({ length: 190 }, (_unused, n) => human(n));
  const inner = [0, 1, 2, 3].map((n) => ({
    id: `inner${n}`,
    type: 'parallel',
    parallel_branches: people.slice(n * 50, n * 50 + 50).map(({ id }) => [id]),
    next_step_id: null,
  }));
  const outer = { id: 'outer', type: 'parallel', parallel_branches: inner.map(({ id }) => [id]), next_step_id: null };
  const id = await define(story.user, [outer, ...inner, ...people], { max_total_turns: 1_000 });
  const started = await story.user.post(`/orchestrations/${id}/run?wait=0`, { message: 'Go.' });
  const { run_id } = started.body;
  await untilWaiting(run_id, people.length);
  const handle = story.orchflow.client.workflow.getHandle(run_id);
  const metadata = JSON.stringify(await handle.query('__temporal_workflow_metadata'));
  expect(Buffer.byteLength(metadata)).toBeLessThan(1_000_000);
  expect((await handle.describe()).status.name).toBe('RUNNING');
  const { events } = await handle.fetchHistory();
  const writes = events!.filter(
    ({ activityTaskScheduledEventAttributes: made }) => made?.activityType?.name === 'saveProgress',
  );
  expect(writes.length).toBeGreaterThan(0);
  expect(writes.length, 'what comes together is written together').toBeLessThan(people.length / 3);

  const { waiting } = (await story.user.insist('GET', `/orchestrations/runs/${run_id}`)).body;
  expect(waiting).toHaveLength(people.length);
  const { gate_id, step_id } = waiting[70];
  await resume(story.user, started, 'Yes.', { gate_id, step_id });
  await untilWaiting(run_id, people.length - 1);
  await story.user.post(`/orchestrations/runs/${run_id}/cancel`, {});
});

test('forms of almost a mebibyte, filled in again and again', async () => {
  const options = Array.from({ length: 100 }, (_unused, n) => long(`${n}`, 180));
  const human_fields = Array.from({ length: 45 }, (_unused, n) => ({ name: `field${n}`, type: 'select', options }));
  const ask = { id: 'ask', type: 'human', human_fields, next_step_id: null };
  const loop = { id: 'loop', type: 'loop', loop_count: 6, loop_step_ids: ['ask'], next_step_id: null };
  const id = await define(story.user, [loop, ask]);
  const started = await story.user.post(`/orchestrations/${id}/run?wait=0`, { message: 'Go.' });
  const { run_id } = started.body;
  const response = Object.fromEntries(human_fields.map(({ name }) => [name, options[0]!.trim()]));
  for (let round = 1; round <= 6; round += 1) {
    const answered = story.orchflow.db.selectFrom('gates').select('gate_id').where('run_id', '=', run_id);
    await until(async () => (await answered.where('status', '=', 'open').execute()).length === 1, `round ${round}`);
    expect((await resume(story.user, started, response, {})).status).toBe(200);
  }
  const read = async () => (await story.user.get(`/orchestrations/runs/${run_id}`)).body.status;
  await until(async () => (await read()) === 'completed', 'the run is completed');
  // Long before its events are many.
  expect((await fetchHistories(story.orchflow.client, run_id)).length).toBeGreaterThan(1);
});

test('120 steps at once, each of which is given a state of as many keys as there may be', async () => {
  const keys = (name: string, count: number) => Array.from({ length: count }, (_unused, n) => long(`${name}${n}`, 64));
  const state_schema = Object.fromEntries(keys('schema', 200).map((key) => [key, { default: 1 }]));
  const initial_state = Object.fromEntries(keys('initial', 100).map((key, n) => [key, n]));
  const prints = Array.from({ length: 120 }, (_unused, n) => {
    return { id: `print${n}`, type: 'print', print_content: `${n}`, output_key: `out${n}`, next_step_id: null };
  });
  const inner = [0, 1, 2].map((n) => ({
    id: `inner${n}`,
    type: 'parallel',
    parallel_branches: prints.slice(n * 40, n * 40 + 40).map((step) => [step.id]),
    next_step_id: null,
  }));
  const outer = {
    id: 'outer',
    type: 'parallel',
    parallel_branches: inner.map((step) => [step.id]),
    next_step_id: null,
  };
  const id = await define(story.user, [outer, ...inner, ...prints], { state_schema, max_total_turns: 1_000 });
  const started = await story.user.post(`/orchestrations/${id}/run`, { message: 'Go.', initial_state });
  expect(started.body).toMatchObject({ status: 'completed', shared_state: { out0: '0', out119: '119' } });
});
