import { describe, expect, test } from 'vitest';
import { startFakeWebhook } from '../fakes/webhook.ts';
import { registerAgent, runAgent } from '../harness/agent.ts';
import { until } from '../harness/orchflow.ts';
import { pdfOf } from '../harness/pdf.ts';
import { fetchHistories } from '../harness/replay.ts';
import { inTurn } from '../harness/script.ts';
import { useStory } from '../harness/story.ts';
import { upload } from '../harness/upload.ts';

/** Runs of one agent: one input, one output. */

const story = useStory();

/** An agent that asks the story's model. */
const register = (agent: object = {}) => registerAgent(story.user, { provider_id: story.provider_id, ...agent });
const start = (agent_id: string, request?: object) => runAgent(story.user, agent_id, request);

const verdict = {
  type: 'object',
  properties: { why: { type: 'string', maxLength: 100 }, verdict: { enum: ['yes', 'no'] } },
  required: ['why', 'verdict'],
};
const good = { why: 'It is fair.', verdict: 'yes' };

test('an agent is asked once, with its prompt and the input, and its answer is the output', async () => {
  story.model.on(() => 'A fair clause.');
  const agent_id = await register({ system_prompt: 'You read contracts.', model: 'gpt-4o' });
  const run = await start(agent_id, { metadata: { customer: 'c_17' }, tags: ['clause'] });
  const done = await run.until('completed');
  expect(done).toMatchObject({
    kind: 'agent',
    origin: 'orchflow',
    agent_id,
    orchestration_id: null,
    task: 'Read this.',
    phase: 'done',
    final_output: 'A fair clause.',
    metadata: { customer: 'c_17' },
    tags: ['clause'],
    usage: { llm_calls: 1 },
  });
  expect(done.agents).toEqual([expect.objectContaining({ name: 'legal', agent_id, version: 'v1', model: 'gpt-4o' })]);
  const task = { id: 'T1', kind: 'ai', agent: 'legal', status: 'completed', output: 'A fair clause.', attempts: 1 };
  expect(done.tasks).toEqual([expect.objectContaining(task)]);
  const [call, ...more] = story.model.calls;
  expect(more).toEqual([]);
  expect(call!.system).toMatch(/^You read contracts\./);
  expect(call!.prompt).toContain('Read this.');
  expect(call!.model).toBe('gpt-4o');

  const { body: attempts } = await story.user.get(`/runs/${run.run_id}/tasks/T1/attempts`);
  expect(attempts.attempts).toMatchObject([{ attempt: 1, draft: 'A fair clause.', calls: [{ purpose: 'run_agent' }] }]);
  const { body: audit } = await story.user.get(`/runs/${run.run_id}/audit`);
  expect(audit).toMatchObject({ kind: 'agent', started_by: expect.stringMatching(/^key_/) });
  expect(audit.events[0].data).toMatchObject({ agent_id, version: 'v1' });
  const types = audit.events.map(({ type }: any) => type);
  expect(types).toEqual([
    'run.created',
    'run.started',
    'run.planned',
    'task.started',
    'agent.turn',
    'task.completed',
    'run.completed',
  ]);
  await story.orchflow.client.workflow.getHandle(run.run_id).result();
  const histories = await fetchHistories(story.orchflow.client, run.run_id);
  // The only call writes the end as well.
  const activities = histories[0]!.events!.flatMap((event) => event.activityTaskScheduledEventAttributes ?? []);
  expect(activities.map(({ activityType }) => activityType!.name)).toEqual(['callAgent']);
  for (const secret of ['You read contracts.', 'A fair clause.'])
    expect(JSON.stringify(histories)).not.toContain(secret);
});

test('runs of all kinds are listed, and found by what they are of', async () => {
  story.model.on(() => 'Fine.');
  const [one, other] = [await register(), await register({ name: 'other' })];
  const run = await start(one);
  await start(other, { start_in: '1d' });
  const goal = await story.start({}, { agents: [{ agent_id: one }], start_in: '1d' });
  const list = async (query: string) =>
    (await story.user.get(`/runs?${query}`)).body.runs.map((found: any) => found.run_id);
  expect(await list('limit=10')).toHaveLength(3);
  expect(await list(`agent_id=${one}`)).toEqual([run.run_id]);
  expect(await list('kind=agent')).toHaveLength(2);
  expect(await list('kind=goal&origin=orchflow')).toEqual([goal.run_id]);
  expect(await list('origin=orchestrations')).toEqual([]);
  expect((await story.user.get(`/runs/counts?agent_id=${one}`)).body.total).toBe(1);
  await run.until('completed');
  const [listed] = (await story.user.get(`/runs?agent_id=${one}`)).body.runs;
  expect(listed).toMatchObject({ kind: 'agent', agent_id: one, origin: 'orchflow', status: 'completed' });
});

test('its files are in the prompt, of its rerun too, and its webhook is told of the end', async () => {
  const { user, model, orchflow } = story;
  model.on(() => 'Read.');
  const webhook = await startFakeWebhook();
  const file = await upload(orchflow.url, user.api_key, pdfOf([['Clause 1: none.']]), { name: 'contract.pdf' });
  const attachments = [file.body.file_id];
  const run = await start(await register(), {
    attachments,
    webhook_url: webhook.url,
    on_behalf_of: 'anna@acme.example',
  });
  const done = await run.until('completed');
  expect(done.attachments).toMatchObject([{ name: 'contract.pdf' }]);
  await until(() => webhook.requests.length === 1, 'the webhook');
  expect(webhook.requests[0]!.payload).toMatchObject({ run_id: run.run_id, event: 'completed' });
  const { body } = await user.post(`/runs/${run.run_id}/rerun`, { from_task: 'T1' });
  await user.openRun(body.run_id).until('completed');
  expect(model.calls).toHaveLength(2);
  for (const { prompt } of model.calls) expect(prompt).toContain('Clause 1: none.');
  await webhook.down();
});

test('an input that does not fit is refused at the door, with its place', async () => {
  const input_schema = { ...verdict, additionalProperties: false };
  const agent_id = await register({ input_schema });
  const before = (await story.user.get('/runs/counts')).body.total;
  for (const [input, errors] of [
    ['yes', [{ pointer: '/input', detail: 'must be an object' }]],
    [{ why: 'x' }, [{ pointer: '/input/verdict', detail: expect.anything() }]],
    [{ why: 5, verdict: 'yes' }, [{ pointer: '/input/why', detail: 'must be a text' }]],
    [{ ...good, more: 1 }, [{ pointer: '/input/more', detail: 'is not a property of the schema' }]],
    [{ ...good, why: 'x'.repeat(101) }, [{ pointer: '/input/why', detail: 'must be at most 100 characters' }]],
    ['x'.repeat(20_001), [{ pointer: '/input', detail: 'must be at most 20000 characters' }]],
  ] as const) {
    const refused = await story.user.post(`/agents/${agent_id}/runs`, { input });
    expect(refused, JSON.stringify(refused.body)).toMatchObject({ status: 422, body: { errors } });
  }
  for (const [body, pointer, status] of [
    [{}, '/input', 422],
    [{ input: good, version: 'v2' }, '/version', 404],
    [{ input: good, provider_id: 'prv_x' }, '/provider_id', 404],
    [{ input: good, attachments: ['file_x'] }, '/attachments/0', 422],
    [{ input: good, on_timeout: 'reject' }, '/gate_due_in', 422],
    [{ input: good, webhook_url: 'http://10.0.0.1/' }, '/webhook_url', 422],
    [{ input: good, task: 'x' }, '/task', 422],
  ] as const) {
    const refused = await story.user.post(`/agents/${agent_id}/runs`, body);
    expect({ status: refused.status, errors: refused.body.errors }).toEqual({
      status,
      errors: [expect.objectContaining({ pointer })],
    });
  }
  expect((await story.user.get('/runs/counts')).body.total).toBe(before);
  story.model.on(() => 'Fine.');
  await (await start(agent_id, { input: good })).until('completed');
  expect(story.model.calls[0]!.prompt).toContain('"why": "It is fair."');
});

describe('people', () => {
  test('approve its output, or send it back with what is to be better', async () => {
    story.model.on(inTurn('First.', 'Second.'));
    const run = await start(await register({ require_approval: true }));
    const waiting = await run.untilWaiting('T1');
    expect(waiting.tasks[0]).toMatchObject({ output: 'First.', gate: { kind: 'approval' } });
    await run.complete('T1', { decision: 'reject', output: 'Shorter, please.' });
    await run.until((view) => view.tasks[0]!.output === 'Second.' && view.waiting_tasks.length === 1);
    expect(story.prompts('T1')[1]).toContain('Shorter, please.');
    expect(story.prompts('T1')[1]).toContain('First.');
    await run.complete('T1', { decision: 'approve' });
    expect(await run.until('completed')).toMatchObject({ final_output: 'Second.', tasks: [{ attempts: 2 }] });
  });

  test('edits and the deletion of the agent change nothing in a run that waits, nor in its rerun', async () => {
    const { user, model } = story;
    model.on(({ system }) => system.split('\n', 1)[0]);
    const agent_id = await register({ system_prompt: 'You are v1.', require_approval: true });
    const run = await start(agent_id, { gate_due_in: '1h', on_timeout: 'reject' });
    await run.untilWaiting('T1');
    await user.patch(`/agents/${agent_id}`, { system_prompt: 'You are v2.', require_approval: false });
    const newer = await (await start(agent_id)).until('completed');
    expect(newer.final_output).toBe('You are v2.');
    expect((await user.delete(`/agents/${agent_id}`)).status).toBe(200);
    await run.complete('T1', { decision: 'reject', output: 'Again.' });
    await run.until((view) => view.tasks[0]!.attempts === 2 && view.waiting_tasks.length === 1);
    await run.complete('T1', {});
    expect((await run.until('completed')).final_output).toBe('You are v1.');
    const { status, body } = await user.post(`/runs/${run.run_id}/rerun`, { from_task: 'T1' });
    expect(status, JSON.stringify(body)).toBe(201);
    const again = user.openRun(body.run_id);
    expect(await again.untilWaiting('T1')).toMatchObject({ kind: 'agent', agent_id, forked_from: run.run_id });
    await again.complete('T1', {});
    expect((await again.until('completed')).final_output).toBe('You are v1.');
    expect((await user.post(`/agents/${agent_id}/runs`, { input: 'x' })).status).toBe(404);
    for (const [request, pointer] of [
      [{ from_task: 'T2' }, '/from_task'],
      [{ from_task: 'T1', edits: { T1: 'x' } }, '/edits/T1'],
    ] as const) {
      const refused = await user.post(`/runs/${run.run_id}/rerun`, request);
      expect(refused).toMatchObject({ status: 422, body: { errors: [{ pointer }] } });
    }
  });

  test('approve calls of its tools, hold it, cancel it, and are told what cannot be done to it', async () => {
    const { user, model } = story;
    model.on(inTurn({ call: [{ name: 'run_javascript', arguments: { code: '6 * 7' } }] }, 'It is 42.'));
    const tools = [{ name: 'run_javascript', require_approval: true }];
    const agent_id = await register({ tools });
    const run = await start(agent_id);
    expect((await run.untilWaiting('T1')).tasks[0]!.gate).toMatchObject({ kind: 'tool_approval' });
    for (const action of ['retry', 'skip', 'cancel']) {
      const refused = await user.post(`/runs/${run.run_id}/tasks/T1/${action}`, {});
      expect(refused).toMatchObject({ status: 409, body: { code: 'RUN_NOT_OF_GOAL' } });
    }
    await run.complete('T1', { decision: 'approve' });
    expect((await run.until('completed')).final_output).toBe('It is 42.');

    model.on(() => ({ hang: 'before_headers' as const }));
    const held = await start(agent_id, { start_in: '1d' });
    expect((await user.post(`/runs/${held.run_id}/hold`, {})).status).toBe(200);
    expect((await user.patch(`/runs/${held.run_id}`, { start_in: '1s' })).status).toBe(200);
    expect((await user.post(`/runs/${held.run_id}/release`, {})).status).toBe(200);
    await model.until(() => model.openCalls === 1);
    expect((await held.cancel()).status).toBe(200);
    await model.untilHungUp();
    expect(await held.until('cancelled')).toMatchObject({ tasks: [{ status: 'cancelled' }] });
    expect((await user.delete(`/runs/${held.run_id}?purge=true`)).body.status).toBe('purged');
    expect((await user.get(`/runs/${held.run_id}`)).status).toBe(404);
  });
});

describe('what bounds it', () => {
  test('its time fails it in words, and a retry has all of it anew', async () => {
    const slow = { on: true };
    story.model.on(() => (slow.on ? { hang: 'before_headers' as const } : 'In time.'));
    const run = await start(await register({ timeout_seconds: 1 }));
    const failed = await run.until('failed');
    const error = 'The agent "legal" failed: it timed out after 1s.';
    expect(failed).toMatchObject({ error, tasks: [{ status: 'failed', error }] });
    slow.on = false;
    expect((await story.user.post(`/runs/${run.run_id}/retry`, {})).status).toBe(200);
    expect(await run.until((view) => view.status === 'completed')).toMatchObject({ final_output: 'In time.' });
  });

  test('its budget: that of the agent unless the run has its own', async () => {
    story.model.on(() => 'Long.');
    const agent_id = await register({ max_tokens: 1, on_budget: 'fail' });
    const run = await start(agent_id);
    expect((await run.until('failed')).error).toMatch(/^Token limit exceeded/);
    expect(story.model.calls).toEqual([]);
    const richer = await start(agent_id, { max_tokens: 1_000_000 });
    expect(await richer.until('completed')).toMatchObject({ max_tokens: 1_000_000, on_budget: 'fail' });
    const asks = await start(agent_id, { on_budget: 'gate' });
    const { waiting_tasks } = await asks.until('waiting_human');
    await asks.complete(waiting_tasks[0]!, { decision: 'reject' });
    await asks.until('failed');
  });

  test('a provider that refuses for good fails it in words; with another one a retry goes on', async () => {
    story.model.on(() => ({ status: 401 }));
    const run = await start(await register());
    const failed = await run.until('failed');
    expect(failed.error).toMatch(/^The agent "legal" failed: /);
    expect(failed.tasks[0]).toMatchObject({ status: 'failed', evaluation: null });
    story.model.on(() => 'Back again.');
    await story.user.post(`/runs/${run.run_id}/retry`, {});
    expect(await run.until((view) => view.status === 'completed')).toMatchObject({ final_output: 'Back again.' });
  });
});
