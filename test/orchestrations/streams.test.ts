import { expect, test } from 'vitest';
import { define, readStream } from '../harness/orchestration.ts';
import { useStory } from '../harness/story.ts';

/** Orchestrations as streams of events. */

const story = useStory();

const told = (events: any[]) =>
  events.filter(({ type }) => type !== 'delta').map(({ type, step_id }) => (step_id ? `${type} ${step_id}` : type));

test('the events of the page come in order, pause for a person, and go on with the answer', async () => {
  const { user, model } = story;
  const { url } = story.orchflow;
  model.on(({ task_id }) => `Output of ${task_id}.`);
  const events = await readStream(url, user, '/orchestrations/orch-research-report/run/stream', { message: 'Bees' });
  expect(told(events)).toEqual([
    'orchestration_start',
    ...['step_start', 'thinking', 'llm_thought', 'agent_turn', 'final', 'step_complete'].map(
      (type) => `${type} step-research`,
    ),
    ...['step_start', 'thinking', 'llm_thought', 'agent_turn', 'final', 'step_complete'].map(
      (type) => `${type} step-write`,
    ),
    'step_start step-approve',
    'human_input_required step-approve',
    'done',
  ]);
  const first = events[0];
  expect(first).toMatchObject({ orchestration_id: 'orch-research-report', orchestration_name: 'Research → Report' });
  expect(events.find(({ type }) => type === 'step_start')).toMatchObject({
    step_id: 'step-research',
    orch_step_id: 'step-research',
    step_name: 'Research',
    step_type: 'agent',
  });
  expect(events.find(({ type }) => type === 'step_complete')).toMatchObject({
    output: 'Output of step-research.',
    duration_seconds: expect.any(Number),
  });
  expect(events.find(({ type }) => type === 'agent_turn')).toMatchObject({
    thought: 'Output of step-research.',
    turn: 1,
  });
  const gate = events.find(({ type }) => type === 'human_input_required');
  const { run_id } = first;
  expect(gate).toMatchObject({
    run_id,
    agent_context: 'Output of step-write.',
    fields: [{ name: 'decision' }, { name: 'notes' }],
  });

  const path = `/orchestrations/runs/${run_id}/resume/stream`;
  expect(await user.post(path, { response: { decision: 'perhaps' } })).toMatchObject({ status: 422 });
  const rest = await readStream(url, user, path, { response: { decision: 'yes' } });
  expect(told(rest)).toEqual([
    'step_complete step-approve',
    'step_start step-decide',
    'if_decision step-decide',
    'step_complete step-decide',
    'if_decision step-decide',
    'step_start step-finish',
    'final step-finish',
    'step_complete step-finish',
    'orchestration_complete',
    'final',
    'done',
  ]);
  expect(rest[0].output).toEqual({ decision: 'yes' });
  expect(rest.at(-3)).toMatchObject({ run_id, status: 'completed', final_state: { article: 'Output of step-write.' } });
  expect(rest.at(-2)).toMatchObject({ response: 'Research and report generation complete.', intent: 'orchestration' });
  expect(await user.post(path, { response: 'x' })).toMatchObject({ status: 409 });
  expect(await user.post('/orchestrations/runs/unknown/resume/stream', { response: 'x' })).toMatchObject({
    status: 404,
  });
});

test('branches, loops, routes, merges and failures are told too', async () => {
  const { user, model } = story;
  model.on(({ purpose }) => (purpose === 'route' ? { route: 'on', reasoning: 'So.' } : 'Text.'));
  const id = await define(user, [
    { id: 'fork', type: 'parallel', parallel_branches: [['a'], ['b']], next_step_id: 'join' },
    { id: 'a', type: 'print', print_content: 'A', output_key: 'a', next_step_id: 'join' },
    { id: 'b', type: 'print', print_content: 'B', output_key: 'b', next_step_id: 'join' },
    { id: 'join', type: 'merge', input_keys: ['a', 'b'], output_key: 'both', next_step_id: 'loop' },
    { id: 'loop', type: 'loop', loop_count: 2, loop_step_ids: ['c'], next_step_id: 'route' },
    { id: 'c', type: 'print', print_content: 'C', output_key: 'c', next_step_id: null },
    { id: 'route', type: 'evaluator', route_map: { on: 'pick', off: null } },
    { id: 'pick', type: 'switch', switch_expression: '1', switch_cases: { '1': 'bad' } },
    { id: 'bad', type: 'transform', transform_code: 'throw new Error("no")' },
  ]);
  const events = await readStream(story.orchflow.url, user, `/orchestrations/${id}/run/stream`, { message: 'Go' });
  const types = events.map(({ type }) => type);
  for (const type of [
    'parallel_start',
    'branch_start',
    'parallel_complete',
    'merge_complete',
    'loop_iteration',
    'loop_complete',
  ]) {
    expect(types).toContain(type);
  }
  expect(events.filter(({ type }) => type === 'branch_start').map(({ branch_index }) => branch_index)).toEqual([0, 1]);
  expect(events.filter(({ type }) => type === 'loop_iteration')).toMatchObject([
    { iteration: 1, total: 2, orch_step_id: 'loop' },
    { iteration: 2, total: 2 },
  ]);
  expect(events.find(({ type }) => type === 'merge_complete')).toMatchObject({ input_count: 2, strategy: 'list' });
  expect(events.filter(({ type }) => type === 'routing_decision')).toMatchObject([
    { tool_name: 'route_on', arguments: { reasoning: 'So.' } },
    { decision: 'on', target_step_id: 'pick', reasoning: 'So.' },
  ]);
  expect(events.filter(({ type }) => type === 'switch_decision')).toMatchObject([
    { expression: '1', matched_case: '1' },
    { matched_case: '1', target_step_id: 'bad' },
  ]);
  const error = "Step 'bad' failed: Error: no";
  expect(events.slice(-5)).toMatchObject([
    { type: 'step_error', orch_step_id: 'bad', error },
    { type: 'orchestration_error', error },
    { type: 'orchestration_complete', status: 'failed', final_state: { both: expect.any(Array) } },
    { type: 'final', response: error },
    { type: 'done' },
  ]);
});

test('a client that leaves the stream, or the request, loses nothing: the run goes on', async () => {
  const { user, model } = story;
  const answer = Promise.withResolvers<string>();
  model.on(() => answer.promise);
  const id = await define(user, [{ id: 'a', type: 'llm', output_key: 'a' }]);
  const leave = new AbortController();
  const request = { method: 'POST', signal: leave.signal, body: '{"message":"x"}' };
  const headers = { 'x-api-key': user.api_key, 'content-type': 'application/json' };
  const paths = ['run', 'run/stream'].map((path) => `${story.orchflow.url}/api/v1/orchestrations/${id}/${path}`);
  const gone = paths.map((url) => fetch(url, { ...request, headers }).then((response) => response.text()));
  await model.until(() => model.openCalls === 2, 'both runs are at work');
  leave.abort();
  await Promise.all(gone.map((left) => expect(left).rejects.toThrow()));
  answer.resolve('Done.');
  const { runs } = (await user.get(`/orchestrations/runs?orchestration_id=${id}`)).body;
  expect(runs).toHaveLength(2);
  for (const { run_id } of runs) await user.openRun(run_id).until('completed');
});

test('who waits for less long than the run takes gets its id, and finds it there', async () => {
  const { user, model } = story;
  const answer = Promise.withResolvers<string>();
  model.on(() => answer.promise);
  const id = await define(user, [{ id: 'a', type: 'llm', output_key: 'a' }]);
  const started = await user.post(`/orchestrations/${id}/run?wait=0.2`, { message: 'x' });
  expect(started).toMatchObject({ status: 202, body: { status: 'running' } });
  const path = `/orchestrations/runs/${started.body.run_id}`;
  expect((await user.get(path)).body).toMatchObject({ status: 'running', response: null });
  answer.resolve('Done.');
  await user.openRun(started.body.run_id).until('completed');
  expect((await user.get(path)).body).toMatchObject({ status: 'completed', response: 'Done.' });
});
