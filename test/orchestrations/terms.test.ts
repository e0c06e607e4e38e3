import { afterEach, beforeEach, expect, test } from 'vitest';
import { startFakeWebhook, type FakeWebhook } from '../fakes/webhook.ts';
import { until } from '../harness/orchflow.ts';
import { define, readStream, resume, runSteps, startSteps } from '../harness/orchestration.ts';
import { expectFault } from '../harness/problem.ts';
import { useStory } from '../harness/story.ts';

/** How long the people of an orchestration are waited for: the terms of its run, and those of a step. */

const story = useStory();
let endpoint: FakeWebhook;
let escalation: FakeWebhook;

beforeEach(async () => {
  [endpoint, escalation] = await Promise.all([startFakeWebhook(), startFakeWebhook()]);
});
afterEach(() => Promise.all([endpoint.close(), escalation.close()]));

type Steps = Parameters<typeof define>[1];
const ask = (more = {}) => ({ id: 'ask', type: 'human', human_prompt: 'Go on?', output_key: 'ask', ...more });
const say = { id: 'say', type: 'print', print_content: 'Said {state.ask}', output_key: 'said' };
const end = { id: 'end', type: 'end' };
const required = { human_fields: [{ name: 'decision', type: 'select', options: 'yes,no' }, { name: 'notes' }] };

const told = (hook: FakeWebhook) =>
  hook.requests.map(({ payload }) => `${payload.event} ${payload.waiting_tasks.join()}`.trim());

/** Starts it with our webhook, and does not wait. */
async function start(steps: Steps, terms: object) {
  const answer = await startSteps(story.user, steps, { webhook_url: endpoint.url, ...terms });
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  const { run_id } = answer.body as { run_id: string };
  const read = async () => (await story.user.get(`/orchestrations/runs/${run_id}`)).body;
  return { ...story.user.openRun(run_id), answer, read, path: `/orchestrations/runs/${run_id}` };
}

test('wait: people are reminded until they answer, and told once that they are late', async () => {
  const run = await start([ask(), end], { gate_due_in: '2s', remind_every: '1s' });
  const view = await run.get();
  expect(view).toMatchObject({ gate_due_in: '2s', remind_every: '1s', on_timeout: 'wait', human_gates: [] });
  const { gate } = view.tasks[0]!;
  expect(Date.parse(gate!.due_at!) - Date.parse(gate!.opened_at)).toBe(2_000);
  expect(run.answer.body).toMatchObject({ status: 'paused', human_input_required: { due_at: gate!.due_at } });
  expect(run.answer.body.warnings).toEqual([]);

  const reminders = () => told(endpoint).filter((event) => event === 'gate.reminder ask').length;
  await until(() => reminders() >= 3, 'three reminders');
  expect((await endpoint.untilReceived('gate.overdue')).payload).toEqual({
    run_id: run.run_id,
    event: 'gate.overdue',
    waiting_tasks: ['ask'],
  });
  expect(await run.read()).toMatchObject({ status: 'paused', waiting: [{ due_at: gate!.due_at }] });
  expect((await resume(story.user, run.answer, 'Yes.')).body).toMatchObject({ status: 'completed' });
  await endpoint.untilReceived('completed');
  expect(told(endpoint).filter((event) => event !== 'gate.reminder ask')).toEqual(
    expect.arrayContaining(['waiting_human ask', 'gate.overdue ask', 'completed']),
  );
  expect(told(endpoint)).toHaveLength(reminders() + 3);
});

test('escalate: the escalation webhook is told as well, also where the run has no other', async () => {
  const terms = { gate_due_in: '1s', on_timeout: 'escalate', escalation_webhook_url: escalation.url };
  const run = await start([ask(), end], { ...terms, webhook_url: null });
  const overdue = await escalation.untilReceived('gate.overdue');
  expect(overdue.payload).toEqual({ run_id: run.run_id, event: 'gate.overdue', waiting_tasks: ['ask'] });
  expect(overdue.headers['webhook-signature']).toMatch(/^v1,/);
  expect((await resume(story.user, run.answer, 'Yes.')).body).toMatchObject({ status: 'completed' });
  expect([told(escalation), told(endpoint)]).toEqual([['gate.overdue ask'], []]);
});

test('reject: the run fails; one that is tried again asks anew, and each event is told once', async () => {
  const run = await start([ask(), say, end], { gate_due_in: '1s', on_timeout: 'reject' });
  const failed = await run.until('failed');
  expect(failed).toMatchObject({ error: "Step 'ask' got no answer in time", waiting_tasks: [] });
  expect(failed.tasks[0]).toMatchObject({ status: 'failed', gate: { status: 'expired', decision: null } });
  await endpoint.untilReceived('failed');
  expect(await resume(story.user, run.answer, 'Late.')).toMatchObject({ status: 409 });

  const again = await story.user.post(`${run.path}/retry`, undefined);
  expect(again.body).toMatchObject({ status: 'paused', human_input_required: { task_id: 'ask.2' } });
  expect((await resume(story.user, again, 'In time.')).body).toMatchObject({
    status: 'completed',
    shared_state: { said: 'Said {"response":"In time."}' },
  });
  await endpoint.untilReceived('completed');
  expect(told(endpoint).toSorted()).toEqual(
    ['waiting_human ask', 'gate.overdue ask', 'failed', 'waiting_human ask.2', 'completed'].toSorted(),
  );
});

test('approve: a form that requires nothing counts as an empty one, for all that comes after it', async () => {
  const fields = { human_fields: [{ name: 'notes' }, { name: 'sure', type: 'boolean' }] };
  const decide = { id: 'decide', type: 'transform', transform_code: 'state.ask.notes ?? "none"', output_key: 'notes' };
  const run = await start([ask(fields), say, decide, end], { gate_due_in: '1s', on_timeout: 'approve' });
  const done = await run.until('completed');
  expect(done.tasks[0]).toMatchObject({ status: 'completed', output: null, gate: { status: 'expired' } });
  expect(done.warnings).toEqual([
    'Nobody answered ask in time; it was completed without an output, as `on_timeout: approve` says.',
  ]);
  expect((await run.read()).shared_state).toMatchObject({
    ask: {},
    human_response: {},
    said: 'Said {}',
    notes: 'none',
  });
  await endpoint.untilReceived('completed');
  expect(told(endpoint).toSorted()).toEqual(['completed', 'gate.overdue ask', 'waiting_human ask']);
});

test('approve: the call of a tool is made, and money is not granted', async () => {
  story.model.on(({ calls }) =>
    calls.length === 0
      ? { call: [{ name: 'run_javascript', arguments: { code: '6 * 7' } }] }
      : `Heard ${calls[0]!.result}.`,
  );
  const tools = [{ name: 'run_javascript', require_approval: true }];
  const work = { id: 'work', type: 'agent', allowed_tools: tools, output_key: 'work' };
  const terms = { gate_due_in: '1s', on_timeout: 'approve' };
  const run = await start([work], terms);
  expect(run.answer.body).toMatchObject({ status: 'paused', human_input_required: { step_id: 'work' } });
  const done = await run.until('completed');
  expect([done.final_output, done.warnings]).toEqual([
    'Heard 42.',
    [expect.stringContaining('Nobody answered work in time; its draft was taken as it is')],
  ]);

  const poor = await start([{ id: 'write', type: 'llm' }], { ...terms, max_tokens: 100, on_budget: 'gate' });
  await until(() => told(endpoint).includes('gate.overdue _budget_1'), 'it is told');
  expect(await poor.get()).toMatchObject({ status: 'waiting_human', waiting_tasks: ['_budget_1'] });
  await poor.cancel();
});

test('cancel: the run is cancelled, in Temporal too', async () => {
  const run = await start([ask(), end], { gate_due_in: '1s', on_timeout: 'cancel' });
  const cancelled = await run.until('cancelled');
  expect(cancelled.tasks[0]).toMatchObject({ status: 'cancelled', gate: { status: 'expired' } });
  await endpoint.untilReceived('cancelled');
  const handle = story.orchflow.client.workflow.getHandle(run.run_id);
  await expect(handle.result()).rejects.toThrow();
  expect((await handle.describe()).status.name).toBe('CANCELLED');
  await until(() => told(endpoint).length === 3, 'all is told');
  expect(told(endpoint).toSorted()).toEqual(['cancelled', 'gate.overdue ask', 'waiting_human ask']);
  expect(await run.read()).toMatchObject({ status: 'cancelled', waiting: [] });
});

test('a step may have terms of its own, and what it does not name is of the run', async () => {
  const one = (id: string, more = {}) => ({ id, type: 'human', next_step_id: null, ...more });
  const steps = [
    one('all', { type: 'parallel', parallel_branches: [['plain'], ['legal'], ['later'], ['hurried']] }),
    one('plain'),
    one('legal', { gate_due_in: '1s', on_timeout: 'escalate', escalation_webhook_url: `${escalation.url}?legal` }),
    one('later', { gate_due_in: '30d' }),
    one('hurried', { human_timeout_seconds: 604_800 }),
  ];
  const run = await start(steps, { gate_due_in: '2d', remind_every: '1d' });
  const view = await run.until(({ waiting_tasks }) => waiting_tasks.length === 4);
  const waits = view.tasks.flatMap(({ id, gate }) =>
    gate ? [[id, (Date.parse(gate.due_at!) - Date.parse(gate.opened_at)) / 86_400_000]] : [],
  );
  expect(Object.fromEntries(waits)).toEqual({ plain: 2, legal: 1 / 86_400, later: 30, hurried: 7 });
  expect(view.human_gates).toEqual([
    { name: 'legal', gate_due_in: '1s', on_timeout: 'escalate', escalation_webhook_url: `${escalation.url}?legal` },
    { name: 'later', gate_due_in: '30d' },
  ]);
  const overdue = await escalation.untilReceived('gate.overdue');
  expect([overdue.path, overdue.payload.waiting_tasks]).toEqual(['/hook?legal', ['legal']]);
  // What the workflow is told has no addresses in it.
  const { events } = await story.orchflow.client.workflow.getHandle(run.run_id).fetchHistory();
  const [input] = events![0]!.workflowExecutionStartedEventAttributes!.input!.payloads!;
  expect(Buffer.from(input!.data!).toString()).toContain('"step_policies":{"legal"');
  expect(Buffer.from(input!.data!).toString()).not.toContain('?legal');
  await run.cancel();
});

test('the terms count for a stream too', async () => {
  const id = await define(story.user, [ask(), end]);
  const body = { message: 'Go', gate_due_in: '1h', max_tokens: 5_000, initial_state: { tone: 'dry' } };
  const events = await readStream(story.orchflow.url, story.user, `/orchestrations/${id}/run/stream`, body);
  const input = events.find(({ type }) => type === 'human_input_required');
  expect(Date.parse(input.due_at)).toBeGreaterThan(Date.now() + 3_000_000);
  expect(events.some(({ type }) => type === 'warning')).toBe(false);
  expect(await story.user.openRun(input.run_id).get()).toMatchObject({ gate_due_in: '1h', max_tokens: 5_000 });
  expect((await story.user.get(`/orchestrations/runs/${input.run_id}`)).body.shared_state.tone).toBe('dry');
});

const remote = 'https://example.com/hook';

test.each<[string, object, string, Steps?]>([
  ['a duration without a unit', { gate_due_in: '48' }, '/gate_due_in'],
  ['more than a year', { remind_every: '53w' }, '/remind_every'],
  ['a timeout that never comes', { on_timeout: 'cancel' }, '/gate_due_in'],
  ['reminders that never come', { gate_due_in: '1h', remind_every: '24h', on_timeout: 'reject' }, '/remind_every'],
  ['an escalation to nowhere', { gate_due_in: '1h', on_timeout: 'escalate' }, '/escalation_webhook_url'],
  ['an unknown action', { gate_due_in: '1h', on_timeout: 'accept' }, '/on_timeout'],
  ['an address that is none', { escalation_webhook_url: 'ftp://x' }, '/escalation_webhook_url'],
  ['an address that may not be called', { escalation_webhook_url: 'http://10.0.0.1' }, '/escalation_webhook_url'],
  ['no money', { max_cost_usd: 0 }, '/max_cost_usd'],
  ['half a token', { max_tokens: 0.5 }, '/max_tokens'],
  ['an unknown way to end', { on_budget: 'stop' }, '/on_budget'],
  [
    'a form that cannot be approved empty',
    { gate_due_in: '1h', on_timeout: 'approve' },
    '/on_timeout',
    [ask(required), end],
  ],
  ['a step that is never due', {}, '/steps/0/gate_due_in', [ask({ on_timeout: 'reject' }), end]],
  ['a step that escalates to nowhere', {}, '/steps/0/escalation_webhook_url', [ask(dueAnd('escalate')), end]],
  [
    'a step whose reminders never come',
    { gate_due_in: '1h' },
    '/steps/0/remind_every',
    [ask({ remind_every: '1h', on_timeout: 'cancel' }), end],
  ],
  [
    'a step with an address that may not be called',
    {},
    '/steps/0/escalation_webhook_url',
    [ask({ escalation_webhook_url: 'http://10.0.0.1/' }), end],
  ],
])('%s is refused with the name of the field', async (_, terms, pointer, steps = [ask(), end]) => {
  const { body: before } = await story.user.get('/runs');
  expectFault(await startSteps(story.user, steps, terms), pointer);
  expect((await story.user.get('/runs')).body).toEqual(before);
});

function dueAnd(on_timeout: string) {
  return { gate_due_in: '1h', on_timeout };
}

test('where a form cannot be approved, the step may say what happens to it', async () => {
  const terms = { gate_due_in: '1h', on_timeout: 'approve' };
  for (const own of [{ on_timeout: 'wait' }, { human_timeout_seconds: 60 }]) {
    const run = await start([ask({ ...required, ...own }), end], terms);
    await run.cancel();
  }
});

test.each<[string, object, string]>([
  ['approves a form that requires something', { ...required, ...dueAnd('approve') }, '/steps/0/on_timeout'],
  ['is due in two ways', { human_timeout_seconds: 60, gate_due_in: '1h' }, '/steps/0/human_timeout_seconds'],
  ['has a wrong duration', { remind_every: '1y' }, '/steps/0/remind_every'],
  ['has no web address', { escalation_webhook_url: 'mailto:boss@example.com' }, '/steps/0/escalation_webhook_url'],
])('a definition is refused whose step %s', async (_, more, pointer) => {
  const step = { name: 'Ask', ...ask(more) };
  const definition = { name: 'Test', entry_step_id: 'ask', steps: [step] };
  expectFault(await story.user.post('/orchestrations', definition), pointer);
});

test('a definition keeps the terms of its steps; one without them has none', async () => {
  const { user } = story;
  const plain = await define(user, [ask(), end]);
  const own = await define(user, [ask({ ...dueAnd('escalate'), escalation_webhook_url: remote }), end]);
  const read = async (id: string) => (await user.get(`/orchestrations/${id}`)).body;
  expect((await read(own)).steps[0]).toMatchObject({ gate_due_in: '1h', escalation_webhook_url: remote });
  expect((await read(plain)).steps[0]).not.toHaveProperty('gate_due_in');
});

test('another account sees nothing of it, and is not told', async () => {
  const stranger = await story.orchflow.register();
  const { body } = await runSteps(story.user, [ask(required), end]);
  for (const path of [`/runs/${body.run_id}`, `/runs/${body.run_id}/tasks`, `/orchestrations/runs/${body.run_id}`]) {
    expect(await stranger.get(path)).toMatchObject({ status: 404 });
  }
});
