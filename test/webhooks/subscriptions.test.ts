import { Webhook } from 'standardwebhooks';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startFakeWebhook, type FakeWebhook, type WebhookRequest } from '../fakes/webhook.ts';
import { define, resume } from '../harness/orchestration.ts';
import { until } from '../harness/orchflow.ts';
import { expectProblem } from '../harness/problem.ts';
import { useStory } from '../harness/story.ts';
import { eventsOf, requestsOf, subscribe, toldOf, untilTold } from '../harness/subscription.ts';

/** Who subscribes hears of all runs of the account, in their order. */

const story = useStory();
let endpoint: FakeWebhook;
beforeEach(async () => {
  endpoint = await startFakeWebhook();
});
afterEach(() => endpoint.close());

const path = (subscription_id: string) => `/webhooks/subscriptions/${subscription_id}`;
const listDeliveries = async (query: string) =>
  (await story.user.get(`/webhooks/deliveries?limit=100&${query}`)).body.deliveries;

function verify(request: WebhookRequest, secret: string) {
  return new Webhook(secret).verify(request.body, request.headers as Record<string, string>);
}

describe('what is told', () => {
  test('is every event of a run, in order, with gate and title; its own webhook gets the bytes that it always got', async () => {
    const { user, orchflow } = story;
    const own = await startFakeWebhook();
    const { subscription_id, secret } = await subscribe(user, endpoint);
    const run = await story.start(
      { plan: ['Research the market', 'Legal approval', 'Write the report'], dependencies: { T2: ['T1'], T3: ['T2'] } },
      { human_gates: ['legal approval'], webhook_url: own.url },
    );
    await run.untilWaiting('T2');
    await untilTold(endpoint, run.run_id, 'gate.opened');
    await run.complete('T2', { output: 'Fine.' });
    await run.until('completed');
    await untilTold(endpoint, run.run_id, 'run.completed');

    const { tasks } = await run.get();
    const told = toldOf(endpoint, run.run_id);
    const events = await eventsOf(user, orchflow.url, run.run_id);
    expect(told.map(({ seq }) => seq)).toEqual(events.map(({ seq }) => seq));
    expect(told[0]).toMatchObject({ type: 'run.created', seq: 1 });
    expect(told).toEqual(
      events.map(({ data, ...event }) => ({
        ...event,
        id: `msg_${run.run_id}_${subscription_id.slice(4)}_${event.seq}`,
        kind: 'goal',
        task_id: data.task_id ?? null,
        gate_id: data.gate_id ?? null,
        title: tasks.find(({ id }) => id === data.task_id)?.title ?? null,
        data,
      })),
    );
    const { gate_id } = tasks[1]!.gate!;
    const ofGate = told.filter((event) => event.gate_id);
    expect(ofGate).toMatchObject([
      { type: 'gate.opened', task_id: 'T2', gate_id, title: 'Legal approval', data: { kind: 'human_task' } },
      { type: 'gate.answered', task_id: 'T2', gate_id, title: 'Legal approval', data: { decision: 'approve' } },
    ]);
    for (const request of requestsOf(endpoint, run.run_id)) {
      expect(request.headers['webhook-id']).toBe(JSON.parse(request.body).id);
      verify(request, secret);
      expect(() => verify(request, user.webhook_secret)).toThrow('No matching signature');
    }

    await until(() => own.requests.length === 2, 'its own webhook');
    expect(own.requests.map(({ body, headers }) => [headers['webhook-id'], body])).toEqual([
      [`msg_${run.run_id}_1`, `{"run_id":"${run.run_id}","event":"waiting_human","waiting_tasks":["T2"]}`],
      [`msg_${run.run_id}_2`, `{"run_id":"${run.run_id}","event":"completed","waiting_tasks":[]}`],
    ]);
    for (const request of own.requests) {
      verify(request, user.webhook_secret);
      expect(() => verify(request, secret)).toThrow('No matching signature');
    }
    await own.close();
  });

  test('is the same of orchestrations', async () => {
    const { user, orchflow } = story;
    await subscribe(user, endpoint);
    const id = await define(user, [
      { id: 'ask', type: 'human', name: 'Ask the editor', human_prompt: 'What?', output_key: 'said' },
      { id: 'sum', type: 'if_else', if_condition: 'state.said', if_true_step_id: 'end', if_false_step_id: 'end' },
      { id: 'end', type: 'end' },
    ]);
    const paused = await user.post(`/orchestrations/${id}/run`, { message: 'Go.' });
    expect(paused.body, JSON.stringify(paused.body)).toMatchObject({ status: 'paused' });
    const { run_id } = paused.body;
    expect((await resume(user, paused, 'This.')).body.status).toBe('completed');
    await untilTold(endpoint, run_id, 'run.completed');
    const told = toldOf(endpoint, run_id);
    const events = await eventsOf(user, orchflow.url, run_id);
    expect(told.map(({ type, seq }) => [type, seq])).toEqual(events.map(({ type, seq }) => [type, seq]));
    expect(told.find(({ type }) => type === 'gate.opened')).toMatchObject({
      kind: 'orchestration',
      task_id: 'ask',
      title: 'Ask the editor',
      gate_id: expect.stringMatching(/^gate_/),
    });
    expect(told.map(({ type }) => type)).toContain('step.if_else_decision');
  });

  test('is only what is asked for; the numbers say that there was more between', async () => {
    const { user } = story;
    const { subscription_id } = await subscribe(user, endpoint, {
      events: ['gate.opened', 'run.completed', 'gate.opened'],
    });
    const run = await story.start({}, { ask_me_about: ['the budget'] });
    await run.untilWaiting('T1');
    await untilTold(endpoint, run.run_id, 'gate.opened');
    expect((await user.patch(path(subscription_id), { events: ['gate.answered', 'run.completed'] })).status).toBe(200);
    await run.complete('T1', { output: 'Ten euros.' });
    await run.until('completed');
    await untilTold(endpoint, run.run_id, 'run.completed');
    const told = toldOf(endpoint, run.run_id);
    expect(told.map(({ type }) => type)).toEqual(['gate.opened', 'gate.answered', 'run.completed']);
    expect(told.map(({ seq }) => seq)).toEqual(told.map(({ seq }) => seq).toSorted((a, b) => a! - b!));
    expect(told[1]!.seq! - told[0]!.seq!).toBeGreaterThanOrEqual(1);
    expect(told[2]!.seq! - told[1]!.seq!).toBeGreaterThan(1);
  });

  test('goes to each who subscribes, of the own account only', async () => {
    const { user, orchflow } = story;
    const [theirs, second] = await Promise.all([startFakeWebhook(), startFakeWebhook()]);
    await subscribe(await orchflow.register(), theirs);
    await Promise.all([subscribe(user, endpoint), subscribe(user, second)]);
    const run = await story.start({});
    await run.until('completed');
    for (const one of [endpoint, second]) await untilTold(one, run.run_id, 'run.completed');
    const [first, other] = [endpoint, second].map((one) => toldOf(one, run.run_id));
    expect(first!.map(({ seq, type }) => [seq, type])).toEqual(other!.map(({ seq, type }) => [seq, type]));
    expect(first!.filter(({ id }) => other!.some((event) => event.id === id))).toEqual([]);
    expect(theirs.requests).toEqual([]);
    await Promise.all([theirs.close(), second.close()]);
  });

  test('begins with what happens after the subscription', async () => {
    const { user } = story;
    const run = await story.start({}, { ask_me_about: ['the budget'] });
    await run.untilWaiting('T1');
    await subscribe(user, endpoint);
    await run.complete('T1', { output: 'Ten euros.' });
    await run.until('completed');
    await untilTold(endpoint, run.run_id, 'run.completed');
    const [first, ...more] = toldOf(endpoint, run.run_id);
    expect(first).toMatchObject({ type: 'gate.answered', data: { task_id: 'T1' } });
    expect(more.map(({ seq }) => seq)).toEqual(more.map((_, index) => first!.seq! + 1 + index));
  });
});

describe('a subscription', () => {
  test('is read, changed and deleted; its secret is shown when it is made', async () => {
    const { user } = story;
    const created = await user.post('/webhooks/subscriptions', {
      url: endpoint.url,
      events: ['*'],
      description: 'Slack',
    });
    expect(created.status).toBe(201);
    const { secret, ...subscription } = created.body;
    expect(secret).toMatch(/^whsec_[\w+/]{43}=$/);
    expect(subscription).toEqual({
      subscription_id: expect.stringMatching(/^sub_\w{20}$/),
      url: endpoint.url,
      events: ['*'],
      description: 'Slack',
      status: 'active',
      disabled_reason: null,
      failing_since: null,
      created_at: expect.any(String),
    });
    const second = await subscribe(user, endpoint);
    const listed = (await user.get('/webhooks/subscriptions')).body.subscriptions;
    expect(listed.map((one: any) => one.subscription_id)).toEqual([
      second.subscription_id,
      subscription.subscription_id,
    ]);
    expect(JSON.stringify(listed)).not.toContain('whsec_');
    const own = path(subscription.subscription_id);
    expect((await user.get(own)).body).toEqual(subscription);

    const changed = { ...subscription, url: `${endpoint.url}/2`, events: ['run.failed'], description: null };
    const change = { url: changed.url, events: ['run.failed', 'run.failed'], description: '' };
    expect(await user.patch(own, change)).toMatchObject({ status: 200, body: changed });
    expect((await user.patch(own, {})).body).toEqual(changed);
    expect((await user.patch(own, { status: 'disabled' })).body).toEqual({ ...changed, status: 'disabled' });
    expect(await user.delete(own)).toMatchObject({ status: 200, body: { status: 'deleted' } });
    for (const again of [user.get(own), user.delete(own), user.patch(own, {}), user.post(`${own}/test`, {})])
      expectProblem(await again, { status: 404, code: 'NOT_FOUND', detail: 'Subscription not found.' });
  });

  test('is refused when it could never be told anything', async () => {
    const { user } = story;
    const whole = { url: endpoint.url, events: ['*'] };
    const { subscription_id } = await subscribe(user, endpoint);
    for (const [change, pointer, detail] of [
      [{ url: 'http://10.0.0.1/hook' }, '/url', /10\.0\.0\.1 is not a public address/],
      [{ url: 'http://me:secret@example.com' }, '/url', /must not carry a user name or password/],
      [{ url: 'ftp://example.com' }, '/url', /must be an http\(s\) URL/],
      [{ events: [] }, '/events', /at least 1 item/],
      [{ events: ['run.finished'] }, '/events/0', /^must be one of \*, run\.created, /],
      [{ description: 'x'.repeat(201) }, '/description', /at most 200 characters/],
      [{ secret: 'whsec_' }, '/secret', /is not a field/],
    ] as const) {
      for (const answer of [
        await user.post('/webhooks/subscriptions', { ...whole, ...change }),
        await user.patch(path(subscription_id), change),
      ]) {
        expect(answer, JSON.stringify(change)).toMatchObject({ status: 422, body: { errors: [{ pointer }] } });
        expect(answer.body.errors[0].detail).toMatch(detail);
      }
    }
  });

  test('has a new secret at once; the ones before sign beside it for a day', async () => {
    const { user, orchflow } = story;
    const { subscription_id, secret } = await subscribe(user, endpoint, { events: ['run.created'] });
    const rotate = async () => (await user.post(`${path(subscription_id)}/rotate-secret`, {})).body;
    const [second, third] = [await rotate(), await rotate()];
    const hours = (Date.parse(third.previous_signs_until) - Date.now()) / 3_600_000;
    expect(Math.abs(hours - 24)).toBeLessThan(0.1);
    await story.start({});
    await until(() => endpoint.requests.length === 1, 'the first event');
    for (const one of [secret, second.secret, third.secret]) verify(endpoint.requests[0]!, one);

    const expires_at = new Date(0).toISOString();
    await orchflow.db.updateTable('retired_subscription_secrets').set({ expires_at }).execute();
    await story.start({});
    await until(() => endpoint.requests.length === 2, 'the second event');
    verify(endpoint.requests[1]!, third.secret);
    for (const one of [secret, second.secret])
      expect(() => verify(endpoint.requests[1]!, one)).toThrow('No matching signature');
  });

  test('is tried with an event of its own, once, also when it is disabled', async () => {
    const { user } = story;
    const { subscription_id, secret } = await subscribe(user, endpoint);
    await user.patch(path(subscription_id), { status: 'disabled' });
    const sent = await user.post(`${path(subscription_id)}/test`, {});
    expect(sent).toMatchObject({
      status: 200,
      body: { subscription_id, event: 'test', run_id: null, status: 'pending' },
    });
    const { delivery_id } = sent.body;
    await until(() => endpoint.requests.length === 1, 'the test');
    expect(verify(endpoint.requests[0]!, secret)).toEqual({
      id: delivery_id,
      type: 'test',
      timestamp: expect.any(String),
      run_id: null,
      kind: null,
      seq: null,
      task_id: null,
      gate_id: null,
      title: null,
      data: {},
    });
    const status = async () => (await listDeliveries(`subscription_id=${subscription_id}`))[0].status;
    await until(async () => (await status()) === 'delivered', 'the log says so');

    endpoint.answer({ status: 500 });
    await user.post(`${path(subscription_id)}/test`, {});
    await until(async () => (await status()) === 'failed', 'the log says that it failed');
    expect(endpoint.requests).toHaveLength(2);
  });
});

test('the log has what went to runs and to subscriptions; of both it is sent again with its id and body', async () => {
  const { user } = story;
  const own = await startFakeWebhook();
  const { subscription_id } = await subscribe(user, endpoint, { events: ['run.completed', 'run.started'] });
  const run = await story.start({}, { webhook_url: own.url });
  await run.until('completed');
  await until(async () => (await listDeliveries('status=delivered')).length === 3, 'all is delivered');
  const ofRun = await listDeliveries(`run_id=${run.run_id}`);
  expect(ofRun.map(({ event, subscription_id: to }: any) => [event, to]).toSorted()).toEqual([
    ['completed', null],
    ['run.completed', subscription_id],
    ['run.started', subscription_id],
  ]);
  const told = await listDeliveries(`subscription_id=${subscription_id}`);
  expect(told.map(({ event }: any) => event)).toEqual(['run.completed', 'run.started']);

  expect((await user.post(`/webhooks/deliveries/${told[1].delivery_id}/redeliver`, {})).body).toMatchObject({
    delivery_id: told[1].delivery_id,
    status: 'pending',
  });
  await until(() => endpoint.requests.length === 3, 'it is sent again');
  const [first, , again] = endpoint.requests;
  expect(again!.body).toBe(first!.body);
  expect(again!.headers['webhook-id']).toBe(first!.headers['webhook-id']);
  await until(async () => (await listDeliveries('status=delivered')).length === 3, 'all is delivered');
  await own.close();
});
