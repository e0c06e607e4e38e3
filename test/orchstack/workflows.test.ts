import { beforeEach, describe, expect, test } from 'vitest';
import { createStack, type Stack } from '../harness/orchstack.ts';
import { expectFault, expectProblem } from '../harness/problem.ts';
import { useStory } from '../harness/story.ts';

/** Workflows at `/v1`: the orchestrations of an account, whose steps may name its registered agents. */

const story = useStory();
let v1: Stack;
beforeEach(() => {
  v1 = createStack(story.orchflow.url, story.user);
});

type Step = { id: string; type: string; [field: string]: unknown };

const chain = (steps: Step[]) =>
  steps.map((step, index) => ({ name: step.id, next_step_id: steps[index + 1]?.id ?? null, ...step }));
const workflowOf = (steps: Step[], more: object = {}) => ({
  name: 'Test',
  entry_step_id: steps[0]!.id,
  steps: chain(steps),
  ...more,
});

async function create(steps: Step[], more: object = {}) {
  const created = await v1.post('/workflows', workflowOf(steps, more));
  expect(created.status, JSON.stringify(created.body)).toBe(201);
  return created;
}

async function execute(steps: Step[], request: object = {}) {
  const { workflow_id } = (await create(steps)).body;
  return v1.post(`/workflows/${workflow_id}/execute`, { input: 'Hello', ...request });
}

const print = (text = 'Hello') => ({ id: 'print', type: 'print', print_content: text, output_key: 'said' });
const ask = { id: 'ask', type: 'human', human_prompt: 'What?', output_key: 'asked' };

describe('a workflow', () => {
  test('is created, read, changed in part and deleted, and is an orchestration of the account', async () => {
    const created = await create([print()], { workflow_id: 'greeting', description: 'Says it.' });
    const { body: workflow, headers } = created;
    expect(workflow).toMatchObject({
      workflow_id: 'greeting',
      name: 'Test',
      description: 'Says it.',
      timeout_minutes: 30,
    });
    expect(headers.get('location')).toBe('/v1/workflows/greeting');
    const read = await v1.get('/workflows/greeting');
    expect(read.body).toEqual(workflow);
    expect(read.headers.get('etag')).toBe(headers.get('etag'));
    expect((await story.user.get('/orchestrations/greeting')).body).toMatchObject({ id: 'greeting', name: 'Test' });

    const renamed = await v1.patch('/workflows/greeting', { name: 'Greeting', max_total_cost_usd: 2 });
    const changed = { ...workflow, name: 'Greeting', max_total_cost_usd: 2, updated_at: renamed.body.updated_at };
    expect(renamed).toMatchObject({ status: 200, body: changed });
    expect((await v1.patch('/workflows/greeting', {})).body).toEqual(renamed.body);
    const stepped = await v1.patch('/workflows/greeting', {
      steps: chain([print('Hi'), { id: 'end', type: 'end' }]),
      max_total_cost_usd: null,
    });
    expect(stepped.body).toMatchObject({ name: 'Greeting', description: 'Says it.', max_total_cost_usd: null });
    expect(stepped.body.steps.map(({ id }: any) => id)).toEqual(['print', 'end']);
    expectFault(await v1.patch('/workflows/greeting', { entry_step_id: 'nowhere' }), '/entry_step_id');
    expect((await v1.get('/workflows/greeting')).body).toEqual(stepped.body);

    expectProblem(await v1.post('/workflows', workflowOf([print()], { workflow_id: 'greeting' })), {
      status: 409,
      code: 'ORCHESTRATION_EXISTS',
      detail: 'There is a workflow "greeting". Change it with PATCH.',
    });
    expect((await v1.delete('/workflows/greeting')).body).toMatchObject({ workflow_id: 'greeting', status: 'deleted' });
    const execute = v1.post('/workflows/greeting/execute', { input: 'x' });
    for (const gone of [v1.get('/workflows/greeting'), v1.patch('/workflows/greeting', {}), execute])
      expectProblem(await gone, { status: 404, code: 'NOT_FOUND', detail: 'Workflow not found.' });
    // One that ships with Orchflow is none of the account's.
    expect((await v1.get('/workflows/orch-research-report')).status).toBe(404);
  });

  test('is changed by many at once without a loss, and with If-Match by one', async () => {
    const { body, headers } = await create([print()]);
    const own = `/workflows/${body.workflow_id}`;
    const parts = [{ name: 'New' }, { description: 'New.' }, { max_total_turns: 7 }, { timeout_minutes: 9 }];
    const changes = await Promise.all(parts.map((part) => v1.patch(own, part)));
    expect(changes.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect((await v1.get(own)).body).toMatchObject(Object.assign({}, ...parts));

    const seen = (await v1.get(own)).headers.get('etag')!;
    const names = Array.from({ length: 8 }, (_, n) => `Name ${n}`);
    const tries = await Promise.all(names.map((name) => v1.patch(own, { name }, { 'if-match': seen })));
    const [won, ...others] = tries.filter(({ status }) => status === 200);
    expect(others).toEqual([]);
    for (const lost of tries.filter((one) => one !== won))
      expectProblem(lost, { status: 412, code: 'PRECONDITION_FAILED' });
    expect((await v1.get(own)).body.name).toBe(won!.body.name);
    expect((await v1.patch(own, { name: 'x' }, { 'if-match': headers.get('etag')! })).status).toBe(412);
  });

  test('is listed: page by page, sorted, filtered, with the fields that are asked for', async () => {
    for (const workflow_id of ['one', 'two', 'three']) await create([print(), ask], { workflow_id });
    await v1.patch('/workflows/one', { name: 'Changed' });
    const idsOf = async (query: string) =>
      (await v1.get(`/workflows?${query}`)).body.workflows.map((one: any) => one.workflow_id);
    expect(await idsOf('')).toEqual(['three', 'two', 'one']);
    expect(await idsOf('sort=created_at')).toEqual(['one', 'two', 'three']);
    expect(await idsOf('sort=-updated_at')).toEqual(['one', 'three', 'two']);
    const { next_cursor } = (await v1.get('/workflows?limit=1&sort=-updated_at')).body;
    expect(await idsOf(`sort=-updated_at&limit=2&cursor=${next_cursor}`)).toEqual(['three', 'two']);
    const [two] = (await v1.get('/workflows?limit=1&fields=step_count,created_at&sort=-updated_at')).body.workflows;
    expect(two).toEqual({ workflow_id: 'one', step_count: 2, created_at: expect.any(String) });
    const { created_at } = (await v1.get('/workflows/two')).body;
    expect(await idsOf(`created_after=${created_at}`)).toEqual(['three', 'two']);
    expect(await idsOf(`created_before=${created_at}`)).toEqual(['one']);
    for (const query of ['fields=steps', 'sort=name', 'created_after=now', 'q=x'])
      expectFault(await v1.get(`/workflows?${query}`), `/${query.split('=')[0]}`);
  });
});

describe('its execution', () => {
  test('answers as the run of an agent does: when it has ended', async () => {
    story.model.on(() => 'Booked!');
    const answer = await execute(
      [
        { id: 'book', type: 'llm', output_key: 'booked' },
        { id: 'end', type: 'end' },
      ],
      {
        channel: 'whatsapp',
        user_id: 'usr_1',
      },
    );
    expect(answer).toMatchObject({
      status: 200,
      body: { run_id: expect.stringMatching(/^run_/), status: 'completed', output: 'Booked!' },
    });
    expect(Object.keys(answer.body)).toEqual(['run_id', 'status', 'output', 'tokens', 'duration_ms']);
    expect(answer.body.tokens.input).toBeGreaterThan(0);
    const run = (await v1.get(`/runs/${answer.body.run_id}`)).body;
    expect(run).toMatchObject({ kind: 'workflow', origin: 'orchstack', channel: 'whatsapp', user_id: 'usr_1' });
    expect(run).toMatchObject({ output: 'Booked!', input: 'Hello' });

    const computed = await execute([{ id: 'sum', type: 'transform', transform_code: '[6 * 7]', output_key: 'sum' }]);
    expect(computed.body).toMatchObject({ status: 'completed', output: '[42]' });
    const failed = await execute([{ id: 'no', type: 'transform', transform_code: 'throw "no"' }]);
    expect(failed).toMatchObject({
      status: 200,
      body: { status: 'failed', output: null, error: expect.stringContaining('no') },
    });
  });

  test('answers what a person is asked, and goes on when that is answered; who does not wait gets 202', async () => {
    const waiting = await execute([ask, print('<{state.asked.response}>')]);
    expect(waiting).toMatchObject({ status: 200, body: { status: 'waiting_human', output: null } });
    const { run_id, gates } = waiting.body;
    expect(gates).toMatchObject([{ task_id: 'ask', kind: 'human_step', question: 'What?' }]);
    const answered = await v1.call('POST', gates[0].answer_url.slice('/v1'.length), { output: 'This.' });
    expect(answered.status, JSON.stringify(answered.body)).toBe(200);
    const done = await story.user.openRun(run_id).until('completed');
    expect(done.run_id).toBe(run_id);
    expect((await v1.get(`/runs/${run_id}`)).body).toMatchObject({ status: 'completed', output: '<This.>' });

    const left = await execute([print()], { wait: 0, start_in: '1d' });
    expect(left).toMatchObject({ status: 202, body: { status: 'pending', pending_for: 'start_at' } });
    expect(left.headers.get('location')).toBe(`/v1/runs/${left.body.run_id}`);
    const batch = await v1.post('/batch', {
      operations: [
        {
          method: 'POST',
          path: `/v1/workflows/${(await create([ask])).body.workflow_id}/execute`,
          body: { input: 'x' },
        },
        { method: 'GET', path: '/v1/runs?limit=1&fields=kind' },
      ],
    });
    expect(batch.body.results).toMatchObject([
      { status: 202, headers: { location: expect.stringMatching(/^.v1.runs.run_/) } },
      { status: 200 },
    ]);
  });

  test('is streamed: its steps, their texts, and then what it has come to', async () => {
    story.model.on(() => ({ say: 'Booked at three.' }));
    const { workflow_id } = (await create([{ id: 'book', type: 'llm', output_key: 'booked' }, print()])).body;
    const { response, events } = await v1.stream(`/workflows/${workflow_id}/execute`, { input: 'Hi', stream: true });
    const types = events.map(({ event }) => event);
    expect(types[0]).toBe('run');
    expect(response.headers.get('run-id')).toBe(events[0]!.data.run_id);
    expect(types.filter((type) => type !== 'token')).toEqual([
      'run',
      'step_started',
      'step_completed',
      'step_started',
      'step_completed',
      'result',
    ]);
    const tokens = events.filter(({ event }) => event === 'token').map(({ data }) => data);
    expect(tokens.map(({ text }) => text).join('')).toBe('Booked at three.');
    expect(new Set(tokens.map(({ task_id }) => task_id))).toEqual(new Set(['book']));
    expect(events.at(-1)!.data).toMatchObject({ type: 'result', status: 'completed', output: 'Hello' });
    expect(events[1]!.data).toMatchObject({ task_id: 'book', step_id: 'book', step_type: 'llm' });
  });

  test('is found again by the request that began it, also when that died and the workflow is gone', async () => {
    const { workflow_id } = (await create([ask])).body;
    const path = `/workflows/${workflow_id}/execute`;
    const key = { 'idempotency-key': 'once' };
    const first = await v1.post(path, { input: 'x' }, key);
    expect(first.body.status).toBe('waiting_human');
    // As if the process had died after its work and before it could keep the answer.
    await story.orchflow.db
      .updateTable('idempotency_keys')
      .set({ status: null, answer_encrypted: null, locked_until: new Date(0).toISOString() })
      .where('idempotency_key', '=', 'once')
      .execute();
    await v1.delete(`/workflows/${workflow_id}`);
    const again = await v1.post(path, { input: 'x' }, key);
    expect(again).toMatchObject({ status: 200, body: { run_id: first.body.run_id, status: 'waiting_human' } });
  });

  test('is refused with the place of what is wrong, and nothing is begun', async () => {
    const { workflow_id } = (await create([print()])).body;
    for (const [request, pointer] of [
      [{}, '/input'],
      [{ input: '' }, '/input'],
      [{ input: 'x', message: 'x' }, '/message'],
      [{ input: 'x', wait: 3_601 }, '/wait'],
      [{ input: 'x', initial_state: { user_input: 'x' } }, '/initial_state/user_input'],
      [{ input: 'x', channel: '' }, '/channel'],
    ] as const)
      expectFault(await v1.post(`/workflows/${workflow_id}/execute`, request), pointer);
    expect((await v1.get('/runs')).body.runs).toEqual([]);
  });
});
