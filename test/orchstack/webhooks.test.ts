import { Webhook } from 'standardwebhooks';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startFakeWebhook, type FakeWebhook } from '../fakes/webhook.ts';
import { registerAgent, runAgent } from '../harness/agent.ts';
import { knowledgeOf } from '../harness/knowledge.ts';
import { runSteps, resume } from '../harness/orchestration.ts';
import { until } from '../harness/orchflow.ts';
import { createStack, type Stack } from '../harness/orchstack.ts';
import { expectFault, expectProblem } from '../harness/problem.ts';
import { useStory } from '../harness/story.ts';

/** Who subscribes at `/v1/webhooks` hears of runs of agents and workflows, and of documents, in OrchStack's words. */

const story = useStory();
let endpoint: FakeWebhook;
let v1: Stack;
beforeEach(async () => {
  endpoint = await startFakeWebhook();
  v1 = createStack(story.orchflow.url, story.user);
});
afterEach(() => endpoint.close());

const ofRuns = ['agent.run.completed', 'agent.run.failed', 'agent.gate.pending'];

async function subscribe(events = ofRuns, more: object = {}) {
  const { status, headers, body } = await v1.post('/webhooks', { url: endpoint.url, events, ...more });
  expect(status, JSON.stringify(body)).toBe(201);
  return { etag: headers.get('etag')!, ...body } as { webhook_id: string; secret: string; etag: string };
}

const register = (agent: object = {}) => registerAgent(story.user, { provider_id: story.provider_id, ...agent });
const told = () => endpoint.requests.map(({ body }) => JSON.parse(body));
const untilTold = (count: number) =>
  until(
    () => endpoint.requests.length >= count,
    () => `${count} events, but: ${JSON.stringify(told())}`,
  );

describe('what is told', () => {
  test('is the end of a run of an agent, with its output, signed; and nothing of goals', async () => {
    story.model.on(() => 'Booked!');
    const { webhook_id, secret } = await subscribe();
    const agent_id = await register();
    const run = await runAgent(story.user, agent_id);
    const done = await run.until('completed');
    await untilTold(1);
    const [request] = endpoint.requests;
    const event = new Webhook(secret).verify(request!.body, request!.headers as Record<string, string>);
    const { input_tokens, output_tokens } = done.usage;
    expect(event).toEqual({
      id: request!.headers['webhook-id'],
      type: 'agent.run.completed',
      timestamp: expect.stringMatching(/^\d{4}-.*Z$/),
      data: {
        run_id: run.run_id,
        agent_id,
        workflow_id: null,
        channel: null,
        user_id: null,
        status: 'completed',
        output: 'Booked!',
        output_truncated: false,
        error: null,
        gate: null,
        tokens: { input: input_tokens, output: output_tokens },
        duration_ms: expect.any(Number),
      },
    });
    expect(input_tokens).toBeGreaterThan(0);
    // It is written down as delivered when its answer is there.
    const readDeliveries = async () =>
      (await story.user.get(`/webhooks/deliveries?subscription_id=${webhook_id}`)).body.deliveries;
    await expect
      .poll(readDeliveries)
      .toMatchObject([{ run_id: run.run_id, event: 'agent.run.completed', status: 'delivered' }]);

    story.model.reset();
    await (await story.start({})).until('completed');
    story.model.reset();
    story.model.on(() => 'Booked again!');
    await (await runAgent(story.user, agent_id)).until('completed');
    await untilTold(2);
    expect(told().map(({ type, data }) => [type, data.output])).toEqual([
      ['agent.run.completed', 'Booked!'],
      ['agent.run.completed', 'Booked again!'],
    ]);
  });

  test('is a document that has been indexed, with the same four members', async () => {
    const { secret } = await subscribe(['knowledge.indexed']);
    const knowledge = knowledgeOf(story.orchflow.url, story.user);
    const knowledge_id = await knowledge.create();
    const [document] = await knowledge.index(knowledge_id, { content: 'Goods may be returned.' });
    await untilTold(1);
    const [request] = endpoint.requests;
    expect(new Webhook(secret).verify(request!.body, request!.headers as Record<string, string>)).toEqual({
      id: request!.headers['webhook-id'],
      type: 'knowledge.indexed',
      timestamp: expect.stringMatching(/^\d{4}-.*Z$/),
      data: expect.objectContaining({ knowledge_id, document_id: document!.document_id, status: 'indexed' }),
    });
  });

  test('is a gate with what it takes to decide, and then the end; a timeout is a failure', async () => {
    story.model.on(() => 'A draft.');
    await subscribe();
    const run = await runAgent(story.user, await register({ require_approval: true }));
    await run.untilWaiting('T1');
    await untilTold(1);
    const { gate } = await run.task('T1');
    expect(told()[0]).toMatchObject({
      type: 'agent.gate.pending',
      data: {
        run_id: run.run_id,
        status: 'waiting_human',
        output: null,
        gate: {
          gate_id: gate!.gate_id,
          task_id: 'T1',
          kind: 'approval',
          draft: 'A draft.',
          question: expect.stringMatching(/\S/),
          context: null,
          fields: null,
          decisions: ['approve', 'edit', 'reject'],
          person: null,
          due_at: null,
          answer_url: `/v1/runs/${run.run_id}/gates/${gate!.gate_id}`,
        },
      },
    });
    await run.complete('T1', { decision: 'edit', output: 'Better.' });
    await run.until('completed');
    await untilTold(2);
    expect(told()[1]).toMatchObject({ type: 'agent.run.completed', data: { output: 'Better.', gate: null } });

    story.model.reset();
    story.model.on(() => ({ hang: 'before_headers' }));
    const slow = await runAgent(story.user, await register({ name: 'slow', timeout_seconds: 1 }));
    const failed = await slow.until('failed');
    await untilTold(3);
    expect(told()[2]).toMatchObject({
      type: 'agent.run.failed',
      data: { run_id: slow.run_id, status: 'failed', output: null, error: failed.error },
    });
    expect(failed.error).toMatch(/1 second|timed out|time/);
  });

  test('is the same of workflows: what a person is asked, and what the last step has left', async () => {
    await subscribe();
    const paused = await runSteps(story.user, [
      { id: 'ask', type: 'human', name: 'Ask the editor', human_prompt: 'What?', output_key: 'said' },
      { id: 'count', type: 'transform', transform_code: 'state.said.response.length', output_key: 'length' },
      { id: 'end', type: 'end' },
    ]);
    const { run_id } = paused.body;
    await untilTold(1);
    // As the run itself shows it.
    const { gates } = (await v1.get(`/runs/${run_id}`)).body;
    expect(told()[0].data.gate).toEqual(gates[0]);
    expect((await resume(story.user, paused, 'This.')).body.status).toBe('completed');
    await untilTold(2);
    const [pending, completed] = told();
    expect(pending).toMatchObject({
      type: 'agent.gate.pending',
      data: { run_id, agent_id: null, workflow_id: expect.stringMatching(/^orch_/), status: 'waiting_human' },
    });
    expect(pending.data.gate).toMatchObject({ task_id: 'ask', kind: 'human_step', question: 'What?' });
    expect(completed).toMatchObject({ type: 'agent.run.completed', data: { run_id, output: '5', error: null } });

    const empty = await runSteps(story.user, [{ id: 'end', type: 'end' }]);
    const faulty = await runSteps(story.user, [{ id: 'no', type: 'transform', transform_code: 'throw "no"' }]);
    await untilTold(4);
    const ofRun = ({ body }: typeof empty) => told().find(({ data }) => data.run_id === body.run_id);
    expect(ofRun(empty)).toMatchObject({ type: 'agent.run.completed', data: { output: null } });
    expect(ofRun(faulty)).toMatchObject({ type: 'agent.run.failed', data: { error: faulty.body.response } });
  });

  test('of a subscription of the house stays what it was, for the same run', async () => {
    story.model.on(() => 'Done.');
    const house = await startFakeWebhook();
    await story.user.insist('POST', '/webhooks/subscriptions', { url: house.url, events: ['*'] });
    await subscribe();
    const run = await runAgent(story.user, await register());
    await run.until('completed');
    await untilTold(1);
    const types = () => house.requests.map(({ body }) => JSON.parse(body).type);
    await until(() => types().includes('run.completed'), 'the end');
    expect(types()).not.toContain('agent.run.completed');
    expect(JSON.parse(house.requests.at(-1)!.body)).toMatchObject({
      type: 'run.completed',
      kind: 'agent',
      run_id: run.run_id,
    });
    await house.close();
  });
});

describe('a webhook', () => {
  test('is read, changed with If-Match and deleted; its secret is shown when it is made', async () => {
    const { secret, etag, ...webhook } = await subscribe(ofRuns, { description: 'Slack' });
    expect(secret).toMatch(/^whsec_/);
    const own = `/webhooks/${webhook.webhook_id}`;
    const read = await v1.get(own);
    expect([read.status, read.headers.get('etag'), read.body]).toEqual([200, etag, webhook]);
    expect(webhook).toMatchObject({ events: ofRuns, description: 'Slack', status: 'active', failing_since: null });

    const changed = await v1.patch(own, { events: ['agent.run.failed'] }, { 'if-match': etag });
    expect(changed).toMatchObject({ status: 200, body: { ...webhook, events: ['agent.run.failed'] } });
    expectProblem(await v1.patch(own, { description: 'Lost' }, { 'if-match': etag }), {
      status: 412,
      code: 'PRECONDITION_FAILED',
    });
    const newest = changed.headers.get('etag')!;
    expect(newest).not.toBe(etag);
    const both = await v1.patch(own, { status: 'disabled', description: '' }, { 'if-match': `${etag}, ${newest}` });
    expect(both.body).toEqual({ ...changed.body, status: 'disabled', description: null });
    expect(await v1.delete(own)).toMatchObject({
      status: 200,
      body: { webhook_id: webhook.webhook_id, status: 'deleted' },
    });
    for (const again of [v1.get(own), v1.delete(own), v1.patch(own, {})])
      expectProblem(await again, { status: 404, code: 'NOT_FOUND', detail: 'Webhook not found.' });
  });

  test('is listed: page by page, sorted, filtered, with the fields that are asked for', async () => {
    const made = [await subscribe(), await subscribe(['knowledge.indexed']), await subscribe()];
    const ids = made.map(({ webhook_id }) => webhook_id);
    await v1.patch(`/webhooks/${ids[2]}`, { status: 'disabled' });
    const idsOf = async (query: string) =>
      (await v1.get(`/webhooks?${query}`)).body.webhooks.map((one: any) => one.webhook_id);
    expect(await idsOf('')).toEqual(ids.toReversed());
    expect(await idsOf('sort=created_at')).toEqual(ids);
    expect(await idsOf('status=disabled')).toEqual([ids[2]]);
    expect(await idsOf('event=knowledge.indexed')).toEqual([ids[1]]);
    for (const sort of ['created_at', '-created_at']) {
      const first = (await v1.get(`/webhooks?limit=2&sort=${sort}`)).body;
      expect([first.webhooks.length, first.has_more]).toEqual([2, true]);
      const rest = (await v1.get(`/webhooks?limit=2&sort=${sort}&cursor=${first.next_cursor}`)).body;
      expect([rest.has_more, rest.next_cursor]).toEqual([false, null]);
      const all = [...first.webhooks, ...rest.webhooks].map(({ webhook_id }: any) => webhook_id);
      expect(all).toEqual(sort === 'created_at' ? ids : ids.toReversed());
    }
    expect((await v1.get('/webhooks?limit=1&fields=url,events')).body.webhooks).toEqual([
      { webhook_id: ids[2], url: endpoint.url, events: ofRuns },
    ]);
    expect(JSON.stringify((await v1.get('/webhooks')).body)).not.toContain('whsec_');
    for (const query of ['fields=secret', 'sort=url', 'event=run.completed', 'page=2', 'cursor=x'])
      expectFault(await v1.get(`/webhooks?${query}`), `/${query.split('=')[0]}`);
  });

  test('is refused when it could never be told anything', async () => {
    const { webhook_id } = await subscribe();
    for (const [change, pointer] of [
      [{ url: 'http://10.0.0.1/hook' }, '/url'],
      [{ events: [] }, '/events'],
      [{ events: ['run.completed'] }, '/events/0'],
      [{ events: ['*'] }, '/events/0'],
      [{ secret: 'whsec_' }, '/secret'],
    ] as const) {
      const whole = { url: endpoint.url, events: ofRuns };
      expectFault(await v1.post('/webhooks', { ...whole, ...change }), pointer);
      expectFault(await v1.patch(`/webhooks/${webhook_id}`, change), pointer);
    }
    expectFault(await v1.patch(`/webhooks/${webhook_id}`, {}, { 'if-match': 'x' }), '/If-Match');
  });
});
