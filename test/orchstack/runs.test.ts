import { beforeEach, describe, expect, test } from 'vitest';
import { createStack, type Stack } from '../harness/orchstack.ts';
import { until } from '../harness/orchflow.ts';
import { expectFault, expectProblem } from '../harness/problem.ts';
import { inTurn } from '../harness/script.ts';
import { useStory } from '../harness/story.ts';

/** Runs of OrchStack's agents: waited for, streamed, answered at gates, listed, with their traces. */

const story = useStory();
let stack: Stack;

beforeEach(() => {
  stack = createStack(story.orchflow.url, story.user);
});

/** An agent that asks the story's model. */
const create = (agent: object = {}) => stack.createAgent({ provider_id: story.provider_id, ...agent });
const run = (agent_id: string, request: object = {}, headers?: Record<string, string>) =>
  stack.post(`/agents/${agent_id}/run`, { input: 'Go.', ...request }, headers);

const page = { input: 'Book a haircut for tomorrow at 3pm', channel: 'whatsapp', user_id: 'usr_xyz789' };
const booked = 'Booked! Haircut with Sarah at 3pm tomorrow.';
const tokens = { input: expect.any(Number), output: expect.any(Number) };
const call = { call: [{ name: 'run_javascript', arguments: { code: '6 * 7' } }] };
const asking = { tools: [{ name: 'run_javascript', require_approval: true }] };

test("the page's example: an agent is run, and the answer is as printed", async () => {
  story.model.on(() => booked);
  const agent_id = await create();
  const { status, headers, body } = await stack.post(`/agents/${agent_id}/run`, page);
  expect(status, JSON.stringify(body)).toBe(200);
  expect(Object.keys(body)).toEqual(['run_id', 'status', 'output', 'tokens', 'duration_ms']);
  const { run_id } = body;
  expect(body).toEqual({ run_id, status: 'completed', output: booked, tokens, duration_ms: expect.any(Number) });
  expect(body.tokens.input).toBeGreaterThan(0);
  expect(headers.get('location')).toBe(`/v1/runs/${run_id}`);
  const { body: found } = await stack.get(`/runs/${run_id}`);
  expect(found).toMatchObject({ ...page, ...body, origin: 'orchstack', kind: 'agent', agent_id, version: 'v1' });
  expect((await story.user.get('/runs?origin=orchstack')).body.runs).toMatchObject([{ run_id, origin: 'orchstack' }]);
});

describe('who waits', () => {
  test('for less long than the run takes gets its id, by field or header, and by its key finds it again', async () => {
    const answer = Promise.withResolvers<string>();
    story.model.on(() => answer.promise);
    const agent_id = await create();
    const goesOn = {
      status: 202,
      body: { status: expect.stringMatching(/pending|running/), run_id: expect.any(String) },
    };
    expect(await run(agent_id, { wait: 0.1 }, { prefer: 'wait=600' })).toMatchObject(goesOn);
    for (const prefer of ['wait=0', 'respond-async', 'respond-async, wait=0; x=1', 'handling=lenient, Wait="0"'])
      expect(await run(agent_id, {}, { prefer })).toMatchObject(goesOn);
    const key = { 'idempotency-key': 'once' };
    const { body } = await run(agent_id, { wait: 0 }, key);
    expect(body).toEqual({
      run_id: body.run_id,
      status: body.status,
      message: `The run goes on. Read it with GET /v1/runs/${body.run_id}.`,
    });
    expect((await run(agent_id, { wait: 0 }, key)).body).toEqual(body);
    const later = await run(agent_id, { start_in: '1d' });
    expect(later).toMatchObject({ status: 202, body: { pending_for: 'start_at', status: 'pending' } });
    await stack.delete(`/runs/${later.body.run_id}`);
    const waits = stack.get(`/runs/${body.run_id}?wait=30`);
    answer.resolve('Done.');
    expect((await waits).body).toMatchObject({ run_id: body.run_id, status: 'completed', output: 'Done.' });
    const runs = (await stack.get('/runs?status=running')).body.runs;
    for (const { run_id } of [...runs, body]) await story.user.openRun(run_id).until('completed');
  });

  test('and leaves, loses nothing: the same request with the same key finds its run', async () => {
    const answer = Promise.withResolvers<string>();
    story.model.on(() => answer.promise);
    const agent_id = await create();
    const leave = new AbortController();
    const request = { method: 'POST', body: '{"input":"Go."}', signal: leave.signal };
    const headers = { 'x-api-key': story.user.api_key, 'content-type': 'application/json', 'idempotency-key': 'mine' };
    const gone = fetch(`${story.orchflow.url}/v1/agents/${agent_id}/run`, { ...request, headers });
    await story.model.until(() => story.model.openCalls === 1, 'it is at work');
    leave.abort();
    await expect(gone).rejects.toThrow();
    const [{ run_id }] = (await stack.get('/runs')).body.runs;
    answer.resolve('Done.');
    await story.user.openRun(run_id).until('completed');
    await until(async () => {
      const again = await run(agent_id, {}, { 'idempotency-key': 'mine' });
      if (again.body.code === 'IDEMPOTENCY_KEY_IN_FLIGHT') return false;
      expect(again.body).toMatchObject({ run_id, status: 'completed', output: 'Done.' });
      return true;
    }, 'the key is free');
    expect(story.model.calls).toHaveLength(1);
  });

  test('hears that it failed, also because its time was over, or was cancelled', async () => {
    story.model.on(() => ({ hang: 'before_headers' as const }));
    const late = await run(await create({ timeout_seconds: 1 }));
    const error = 'The agent "booker" failed: it timed out after 1s.';
    const { run_id, duration_ms } = late.body;
    expect(late).toMatchObject({ status: 200, body: { run_id, status: 'failed', output: null, error, duration_ms } });
    expect(duration_ms).toBeGreaterThanOrEqual(1_000);
    const cancelled = run(await create({ name: 'other' }));
    await story.model.until(() => story.model.calls.length === 2);
    const [{ run_id: other }] = (await stack.get('/runs?status=running')).body.runs;
    expect((await stack.delete(`/runs/${other}`)).body).toMatchObject({ status: 'cancelled' });
    expect((await cancelled).body).toMatchObject({
      run_id: other,
      status: 'cancelled',
      error: 'The run was cancelled.',
    });
    // Who sends it again does not lose what is left of it.
    expect((await stack.delete(`/runs/${other}?purge=false`)).body).toMatchObject({ status: 'cancelled' });
    expect(await stack.delete(`/runs/${run_id}?purge=false`)).toMatchObject({
      status: 409,
      body: { code: 'RUN_FINISHED' },
    });
    expect((await stack.delete(`/runs/${other}`)).body).toMatchObject({ status: 'purged' });
    expect((await stack.delete(`/runs/${other}`)).status).toBe(404);
  });
});

describe('a gate', () => {
  test('is answered where the run says, and the run goes on; its trace tells all of it in order', async () => {
    story.model.on(inTurn(call, 'It is 42.'));
    const agent_id = await create(asking);
    const waiting = await run(agent_id, page);
    const { run_id } = waiting.body;
    expect(waiting).toMatchObject({ status: 200, body: { status: 'waiting_human', output: null, tokens } });
    const [gate] = waiting.body.gates;
    expect(gate).toEqual({
      gate_id: expect.stringMatching(/^gate_/),
      task_id: 'T1',
      kind: 'tool_approval',
      question: 'booker wants to call the tool run_javascript. Its arguments are the draft.',
      context: null,
      fields: null,
      draft: JSON.stringify({ code: '6 * 7' }, null, 2),
      decisions: ['approve', 'edit', 'reject'],
      person: null,
      opened_at: expect.any(String),
      due_at: null,
      answer_url: `/v1/runs/${run_id}/gates/${gate.gate_id}`,
    });
    expect((await stack.get(`/runs/${run_id}`)).body.gates).toEqual([gate]);
    const path = gate.answer_url.replace('/v1', '');
    expectFault(await stack.post(path, {}), '/decision');
    expectFault(await stack.post(path, { decision: 'edit', output: 'no JSON' }), '/output');
    const edit = { decision: 'edit', output: { code: '40 + 2' }, note: 'Simpler.' };
    expect(await stack.post(path, edit)).toMatchObject({ status: 200, body: { run_id, gate_id: gate.gate_id } });
    const late = await stack.post(path, { decision: 'reject', output: 'No.' });
    expect(late).toMatchObject({ status: 409, body: { code: 'TASK_NOT_WAITING', answer: { decision: 'edit' } } });
    await story.user.openRun(run_id).until('completed');

    const { body: found } = await stack.get(`/runs/${run_id}`);
    expect(found).toMatchObject({ status: 'completed', output: 'It is 42.', gates: [] });
    expect(found.trace.map(({ type }: any) => type)).toEqual(['model_call', 'gate', 'tool_call', 'model_call']);
    const [asked, answered, made, said] = found.trace;
    const timed = { started_at: expect.any(String), ended_at: expect.any(String), duration_ms: expect.any(Number) };
    const common = {
      agent: 'booker',
      task_id: 'T1',
      attempt: 1,
      purpose: 'run_agent',
      vendor: 'openai',
      tokens,
      ...timed,
    };
    expect(asked).toMatchObject({ ...common, calls: ['run_javascript'] });
    expect(said).toMatchObject({ ...common, output: 'It is 42.', calls: [] });
    expect(answered).toMatchObject({
      id: gate.gate_id,
      decision: 'edit',
      note: 'Simpler.',
      by: { kind: 'key' },
      ...timed,
    });
    expect(made).toMatchObject({
      tool: 'run_javascript',
      result: expect.stringMatching(/42$/),
      is_error: false,
      gate_id: gate.gate_id,
      ...timed,
    });
    expect([made.model_call_id, JSON.parse(made.arguments)]).toEqual([asked.id, { code: '40 + 2' }]);
    const spent = (name: 'input' | 'output') => asked.tokens[name] + said.tokens[name];
    expect(found.tokens).toEqual({ input: spent('input'), output: spent('output') });
    const starts = found.trace.map(({ started_at }: any) => started_at);
    expect(starts).toEqual(starts.toSorted());
  });

  test('of another kind, and one that is not there', async () => {
    story.model.on(inTurn('First.', 'Second.'));
    const agent_id = await create({ require_approval: true });
    const { body } = await run(agent_id);
    const [gate] = body.gates;
    expect(gate).toMatchObject({ kind: 'approval', draft: 'First.', question: '"booker" waits for approval.' });
    for (const path of [`${body.run_id}/gates/gate_x`, `run_x/gates/${gate.gate_id}`])
      expectProblem(await stack.post(`/runs/${path}`, {}), {
        status: 404,
        code: 'NOT_FOUND',
        detail: 'Gate not found.',
      });
    const stranger = createStack(story.orchflow.url, await story.orchflow.register());
    const path = `/runs/${body.run_id}/gates/${gate.gate_id}`;
    expectProblem(await stranger.post(path, {}), { status: 404, code: 'NOT_FOUND', detail: 'Gate not found.' });
    await stack.post(path, { decision: 'reject', output: 'Shorter.' });
    const opened = story.user.openRun(body.run_id);
    await opened.until((view) => view.tasks[0]!.output === 'Second.' && view.waiting_tasks.length === 1);
    const { gates } = (await stack.get(`/runs/${body.run_id}`)).body;
    expect((await stack.post(path, {})).status).toBe(409);
    await stack.post(gates[0].answer_url.replace('/v1', ''), {});
    await opened.until('completed');
  });
});

describe('a stream', () => {
  test('tells tokens as the model writes them, and then the result', async () => {
    const first = Promise.withResolvers<void>();
    async function* words() {
      yield 'Booked! ';
      // It goes on only when the client has the first word.
      await first.promise;
      yield* ['Haircut with Sarah ', 'at 3pm tomorrow.'];
    }
    story.model.on(() => ({ say: words() }));
    const agent_id = await create();
    const { response, events } = await stack.stream(
      `/agents/${agent_id}/run`,
      { ...page, stream: true },
      {
        onEvent: ({ event }) => event === 'token' && first.resolve(),
      },
    );
    expect(response.headers.get('content-type')).toMatch('text/event-stream');
    const { run_id } = events[0]!.data;
    expect(response.headers.get('run-id')).toBe(run_id);
    expect(events.map(({ event }) => event).filter((event) => event !== 'token')).toEqual(['run', 'result']);
    const said = events.filter(({ event }) => event === 'token').map(({ data }) => data);
    expect(said.map(({ text }) => text).join('')).toBe(booked);
    expect(said[0]).toEqual({ type: 'token', run_id, attempt: 1, offset: 0, text: 'Booked! ' });
    const result = { run_id, status: 'completed', output: booked, tokens, duration_ms: expect.any(Number) };
    expect(events.at(-1)!.data).toEqual({ type: 'result', ...result });
  });

  test('is asked for by Accept too; tells of tools, ends at a gate, and is found again by its key', async () => {
    story.model.on(inTurn(call, call, 'It is 42.'));
    const agent_id = await create({ tools: ['run_javascript'] });
    const headers = { accept: 'text/event-stream', 'idempotency-key': 'streamed' };
    const { events } = await stack.stream(`/agents/${agent_id}/run`, { input: 'Go.' }, { headers });
    const told = events.filter(({ event }) => event !== 'token');
    const types = ['run', 'tool_call', 'tool_result', 'tool_call', 'tool_result', 'result'];
    expect(told.map(({ event }) => event)).toEqual(types);
    const { run_id } = told[0]!.data;
    expect(told[1]!.data).toMatchObject({
      run_id,
      tool: 'run_javascript',
      arguments: expect.stringContaining('6 * 7'),
    });
    expect(told[2]!.data).toMatchObject({ id: told[1]!.data.id, is_error: false, result: '42' });
    const again = await stack.stream(`/agents/${agent_id}/run`, { input: 'Go.' }, { headers });
    expect(again.events.map(({ event }) => event)).toEqual(['run', 'token', 'result']);
    expect(again.events[1]!.data).toMatchObject({ offset: 0, text: 'It is 42.' });
    expect(again.events[2]!.data).toEqual(told.at(-1)!.data);

    story.model.on(inTurn(call, 'Fine.'));
    const gated = await create({ ...asking, name: 'gated' });
    const paused = await stack.stream(`/agents/${gated}/run`, { input: 'Go.', stream: true });
    expect(paused.events.at(-1)!.data).toMatchObject({ status: 'waiting_human', gates: [{ kind: 'tool_approval' }] });
    const [gate] = paused.events.at(-1)!.data.gates;
    await stack.post(gate.answer_url.replace('/v1', ''), { decision: 'reject', output: 'No.' });
    await story.user.openRun(paused.events[0]!.data.run_id).until('completed');
    // Generated clients name all that they take.
    story.model.on(() => 'Fine.');
    const both = await run(agent_id, {}, { accept: 'application/json, text/event-stream' });
    expect(both.body).toMatchObject({ status: 'completed' });
    expect((await run(agent_id, { stream: false }, { accept: 'text/event-stream' })).body.status).toBe('completed');
  });

  test('ends after the wait with what there is, and the run goes on', async () => {
    const answer = Promise.withResolvers<string>();
    story.model.on(() => answer.promise);
    const { events } = await stack.stream(`/agents/${await create()}/run`, { input: 'Go.', stream: true, wait: 0.2 });
    const { run_id, status } = events.at(-1)!.data;
    expect(['pending', 'running']).toContain(status);
    answer.resolve('Done.');
    await story.user.openRun(run_id).until('completed');
  });
});
