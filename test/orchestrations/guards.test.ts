import { expect, test } from 'vitest';
import { until } from '../harness/orchflow.ts';
import { resume, runSteps as start } from '../harness/orchestration.ts';
import { fetchHistories } from '../harness/replay.ts';
import { useStory } from '../harness/story.ts';

/** What bounds an orchestration, and how it fails: never silently, and never for good when it can be mended. */

const story = useStory({ RUN_HISTORY_LIMIT: '100' });

const llm = (id: string, more = {}) => ({ id, type: 'llm', output_key: id, ...more });
const transform = (id: string, transform_code: string, more = {}) => ({
  id,
  type: 'transform',
  transform_code,
  output_key: id,
  ...more,
});
const forEver = [
  transform('count', '(state.count ?? 0) + 1', { max_iterations: 1_000 }),
  {
    id: 'again',
    type: 'if_else',
    if_condition: 'true',
    if_true_step_id: 'count',
    if_false_step_id: null,
    max_iterations: 1_000,
  },
];

test('a run with too many steps fails, and says so', async () => {
  const { body } = await start(story.user, forEver, { max_total_turns: 5 });
  expect(body).toMatchObject({ status: 'failed', response: 'Global turn limit (5) exceeded' });
  expect(body.shared_state.count).toBe(3);
  expect(body.step_history).toHaveLength(5);
});

test('a run that takes too long fails between two steps, and says so', async () => {
  const { body } = await start(story.user, forEver, { timeout_minutes: 0.001 });
  expect(body).toMatchObject({ status: 'failed' });
  expect(body.response).toMatch(/^Global timeout \(0.001 min\) exceeded after \d+\.\d min$/);
});

test('the time that a person takes at a call of a tool does not count', async () => {
  story.model.on(() => ({ call: [{ name: 'run_javascript', arguments: { code: '2' } }] }));
  const steps = [
    { id: 'sum', type: 'tool', forced_tool: 'run_javascript', require_approval: true, output_key: 'sum' },
    { id: 'say', type: 'print', print_content: '<{state.sum}>', output_key: 'said' },
  ];
  const paused = await start(story.user, steps, { timeout_minutes: 0.1 });
  const asked_at = Date.now();
  await until(() => Date.now() > asked_at + 6_500, 'more than its time has passed');
  expect((await resume(story.user, paused, 'approve')).body).toMatchObject({ status: 'completed', response: '<2>' });
});

test('the time after the answer counts', async () => {
  const { model } = story;
  const answer = Promise.withResolvers<undefined>();
  const call = { call: [{ name: 'run_javascript', arguments: { code: '2' } }] };
  model.on(() => (model.calls.length === 1 ? call : answer.promise.then(() => 'It is 2.')));
  const steps = [
    {
      id: 'work',
      type: 'agent',
      allowed_tools: [{ name: 'run_javascript', require_approval: true }],
      output_key: 'work',
    },
    { id: 'say', type: 'print', print_content: 'Done.', output_key: 'said' },
  ];
  const paused = await start(story.user, steps, { timeout_minutes: 0.02 });
  const done = resume(story.user, paused, 'approve');
  await model.until(() => model.calls.length === 2);
  const asked_at = Date.now();
  await until(() => Date.now() > asked_at + 1_300, 'more than its time has passed');
  answer.resolve(undefined);
  expect((await done).body).toMatchObject({ status: 'failed', response: expect.stringContaining('Global timeout') });
});

test('it does not count either in a run that continues as new after it', async () => {
  story.model.on(() => ({ call: [{ name: 'run_javascript', arguments: { code: '2' } }] }));
  const print = (id: string) => ({ id, type: 'print', print_content: id, output_key: id });
  const before = Array.from({ length: 14 }, (_, index) => print(`before_${index}`));
  const steps = [
    ...before,
    { id: 'sum', type: 'tool', forced_tool: 'run_javascript', require_approval: true },
    print('after'),
  ];
  const paused = await start(story.user, steps, { timeout_minutes: 0.1 });
  const asked_at = Date.now();
  await until(() => Date.now() > asked_at + 6_500, 'more than its time has passed');
  expect((await resume(story.user, paused, 'approve')).body).toMatchObject({ status: 'completed', response: 'after' });
  const handle = story.orchflow.client.workflow.getHandle(paused.body.run_id);
  expect((await fetchHistories(story.orchflow.client, handle.workflowId)).length).toBeGreaterThan(1);
});

test('a call that would cost more than the limit is not made, and the run fails', async () => {
  story.model.on(() => 'A word or two.');
  const steps = ['a', 'b', 'c', 'd'].map((id) => llm(id, { model: 'gpt-4o' }));
  const limited = await start(story.user, steps, { max_total_cost_usd: 0.0825 });
  expect(limited.body.status).toBe('failed');
  expect(limited.body.response).toMatch(/^Cost limit exceeded: \$0\.\d+ > max \$0\.0825$/);
  const { usage } = (await story.user.get(`/orchestrations/runs/${limited.body.run_id}`)).body;
  expect(usage.cost_usd).toBeLessThanOrEqual(0.0825);
  expect(usage.llm_calls).toBe(story.model.calls.length);
});

test('a step that takes too long fails the run, and its call is hung up on', async () => {
  story.model.on(() => ({ hang: 'before_headers' }));
  const { body } = await start(story.user, [llm('slow', { name: 'Slow', timeout_seconds: 1 }), llm('after')]);
  expect(body).toMatchObject({ status: 'failed', response: "Step 'Slow' timed out after 1s" });
  expect(body.step_history).toMatchObject([{ step_id: 'slow', status: 'failed', error: body.response }]);
  await story.model.untilHungUp();
});

test('a step that was entered often enough is passed over', async () => {
  const { body } = await start(story.user, [
    transform('count', '(state.count ?? 0) + 1', { max_iterations: 2 }),
    { id: 'again', type: 'if_else', if_condition: 'true', if_true_step_id: 'count', next_step_id: 'out' },
    { id: 'out', type: 'print', print_content: 'Counted to {state.count}', output_key: 'out' },
  ]);
  // The third time the run goes on with what follows `count`, and then with what follows `again`.
  expect(body).toMatchObject({ status: 'completed', response: 'Counted to 2' });
});

test.each([
  ['throws', 'state.missing.field', /^Step 'code' failed: TypeError: .*undefined/],
  ['never ends', 'while (true) {}', /^Step 'code' failed: The code did not end within 1.5 seconds/],
  [
    'wants all memory',
    'const all = []; while (true) all.push({})',
    /^Step 'code' failed: The code (needs more memory|did)/,
  ],
])('code that %s fails the run with its own words', async (_name, code, response) => {
  const { body } = await start(story.user, [transform('code', code, { timeout_seconds: 1.5 })]);
  expect(body.status).toBe('failed');
  expect(body.response).toMatch(response);
});

test('a provider that refuses for good fails the run; mended, it goes on where it stopped, and pays nothing twice', async () => {
  const { user, model } = story;
  let isMended = false;
  model.on(({ task_id }) => (task_id!.startsWith('right') && !isMended ? { status: 401 } : `Output of ${task_id}.`));
  const failed = await start(user, [
    llm('first'),
    { id: 'fork', type: 'parallel', parallel_branches: [['left'], ['right']], next_step_id: 'all' },
    llm('left', { next_step_id: 'all' }),
    llm('right', { next_step_id: 'all' }),
    { id: 'all', type: 'merge', input_keys: ['left', 'right'], merge_strategy: 'dict', output_key: 'all' },
  ]);
  expect(failed.body).toMatchObject({ status: 'failed' });
  expect(failed.body.response).toMatch(/^Step 'right' failed: /);
  const path = `/orchestrations/runs/${failed.body.run_id}`;
  expect(await resume(user, failed, 'x')).toMatchObject({ status: 409, body: { code: 'RUN_NOT_PAUSED' } });
  const left = failed.body.step_history.find((step: any) => step.step_id === 'left').status;

  isMended = true;
  const done = await user.post(`${path}/retry`, {});
  expect(done.body, JSON.stringify(done.body)).toMatchObject({ status: 'completed', run_id: failed.body.run_id });
  expect(Object.keys(done.body.shared_state.all)).toEqual(['left (left)', 'right (right)']);
  expect(done.body.shared_state.first).toBe('Output of first.');
  expect(model.calls.filter(({ task_id }) => task_id === 'first')).toHaveLength(1);
  if (left === 'completed') expect(done.body.shared_state.left).toBe('Output of left.');
  const run = (await user.get(path)).body;
  expect(run).toMatchObject({ attempt: 2, error: null, status: 'completed' });
  expect(await user.post(`${path}/retry`, {})).toMatchObject({ status: 409, body: { code: 'RUN_NOT_FAILED' } });
});

test('a retry is one attempt for its Idempotency-Key, though its client has left, and versions grow by steps', async () => {
  const { user, orchflow } = story;
  const failed = await start(user, [{ id: 'fail', type: 'transform', transform_code: 'nothing.at.all' }]);
  const path = `/orchestrations/runs/${failed.body.run_id}`;
  const url = `${orchflow.url}/api/v1${path}/retry?wait=60`;
  const attempt = async () => (await user.get(path)).body.attempt as number;
  for (let tries = 2; tries <= 12; tries += 1) {
    const headers = { 'x-api-key': user.api_key, 'idempotency-key': `again-${tries}` };
    const client = new AbortController();
    const asked = fetch(url, { method: 'POST', headers, signal: client.signal });
    await until(async () => (await attempt()) === tries, 'it is tried again');
    client.abort();
    await asked.catch(() => {});
    await until(async () => (await user.get(path)).body.status === 'failed', 'it fails again');
    await until(async () => (await fetch(url, { method: 'POST', headers })).status !== 409, 'the key is free');
    expect(await attempt()).toBe(tries);
  }
  const { version } = await orchflow.db
    .selectFrom('runs')
    .select('version')
    .where('run_id', '=', failed.body.run_id)
    .executeTakeFirstOrThrow();
  expect(version).toBeLessThan(12 * 12 * 1_000_000);
});

test('a retry after the turn limit goes on with as many turns again', async () => {
  const { user } = story;
  const failed = await start(user, forEver, { max_total_turns: 4 });
  const again = await user.post(`/orchestrations/runs/${failed.body.run_id}/retry`, {});
  expect(again.body).toMatchObject({ status: 'failed', response: 'Global turn limit (4) exceeded' });
  expect(again.body.shared_state.count).toBe(4);
});

test('a person who does not answer in time fails the run, where the step says so', async () => {
  const { user } = story;
  const ask = { id: 'ask', type: 'human', name: 'Ask', human_timeout_seconds: 1 };
  const paused = await start(user, [ask]);
  expect(paused.body.status).toBe('paused');
  const run = user.openRun(paused.body.run_id);
  const failed = await run.until('failed');
  expect(failed.error).toBe("Step 'Ask' got no answer in time");
});

test('a run is cancelled: its call is hung up on, its gates are closed, and nobody can answer', async () => {
  const { user, model } = story;
  model.on(() => ({ hang: 'before_headers' }));
  const paused = await start(user, [
    { id: 'fork', type: 'parallel', parallel_branches: [['ask'], ['call']], next_step_id: null },
    { id: 'ask', type: 'human', next_step_id: null },
    llm('call', { next_step_id: null }),
  ]);
  expect(paused.body.status).toBe('paused');
  await model.until(() => model.openCalls === 1, 'a call');
  const path = `/orchestrations/runs/${paused.body.run_id}`;
  expect(await user.post(`${path}/cancel`, {})).toMatchObject({ status: 200, body: { status: 'cancelled' } });
  expect((await user.get(path)).body).toMatchObject({ status: 'cancelled', waiting: [] });
  expect(await resume(user, paused, 'x')).toMatchObject({ status: 409 });
  await model.untilHungUp();
  expect(await user.post(`${path}/retry`, {})).toMatchObject({ status: 409 });
});

test('a definition that is changed or deleted leaves the runs that it began alone', async () => {
  const { user } = story;
  const paused = await start(user, [
    { id: 'ask', type: 'human' },
    { id: 'out', type: 'print', print_content: 'As it was', output_key: 'out' },
  ]);
  const { orchestration_id } = (await user.get(`/orchestrations/runs/${paused.body.run_id}`)).body;
  await user.delete(`/orchestrations/${orchestration_id}`);
  expect((await resume(user, paused, 'x')).body).toMatchObject({ status: 'completed', response: 'As it was' });
});
