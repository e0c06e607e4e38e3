import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { sql } from 'kysely';
import { uuidOf } from '../../src/ids.ts';
import { startFakeWebhook, type FakeWebhook } from '../fakes/webhook.ts';
import { textsOf } from '../harness/canaries.ts';
import { startOrchflow, until, type Answer } from '../harness/orchflow.ts';
import { define } from '../harness/orchestration.ts';
import { expectProblem } from '../harness/problem.ts';
import { startTemporalLine } from '../harness/proxy.ts';
import { untilGone } from '../harness/purged.ts';
import { createAgents, inHouseWords } from '../harness/orchagent.ts';
import { send } from '../harness/raw.ts';
import { tablesThatSay, tablesWith, untilBlocked } from '../harness/rows.ts';
import { scriptRun } from '../harness/script.ts';
import { useStory } from '../harness/story.ts';
import { subscribe, toldOf, untilTold } from '../harness/subscription.ts';

/** A run that has ended is forgotten on request: at once for its readers, and wholly once Temporal is done with it. */

const story = useStory();
let endpoint: FakeWebhook;
beforeEach(async () => {
  endpoint = await startFakeWebhook();
});
afterEach(() => endpoint.close());

const callsHang = () => ({ hang: 'before_headers' as const });
const purge = (run_id: string) => story.user.delete(`/runs/${run_id}?purge=true`);

function post(path: string, body: object, key: string): Promise<Answer> {
  const { orchflow, user } = story;
  const headers = { 'x-api-key': user.api_key, 'content-type': 'application/json', 'idempotency-key': key };
  return send(orchflow.url, 'POST', `/api/v1${path}`, headers, JSON.stringify(body));
}

const given: [RegExp, object][] = [
  [/\/rerun$/, { from_task: 'T1' }],
  [/\/resume/, { response: 'approve' }],
  [/\/assign$/, { person_id: null }],
  [/\/(complete|correct)$/, { output: 'Too late.' }],
  [/./, {}],
];

/** Expects that all routes that name a run answer as if there had never been one. */
async function expectNotFound(run_id: string) {
  const { orchflow, user } = story;
  const { body } = await send(orchflow.url, 'GET', '/openapi.json');
  const { id: workspace_id } = (await createAgents(orchflow.url, user).get('/org')).body;
  const named = Object.entries<object>(body.paths).flatMap(([path, item]) =>
    path.includes('{run_id}') ? Object.keys(item).map((method) => [method.toUpperCase(), path] as const) : [],
  );
  for (const [method, path] of [...named, ['DELETE', '/api/v1/runs/{run_id}?purge=true'] as const]) {
    const sent =
      method === 'GET' || method === 'DELETE' ? undefined : given.find(([pattern]) => pattern.test(path))![1];
    const headers = { 'x-api-key': user.api_key, 'content-type': 'application/json', 'x-request-id': 'same' };
    const ask = async (id: string) => {
      const named = path.startsWith('/workspaces/') ? uuidOf(id) : id;
      const where = path.replace('{run_id}', named).replace('{task_id}', 'T1').replace('{workspace_id}', workspace_id);
      return inHouseWords(await send(orchflow.url, method, where, headers, JSON.stringify(sent)));
    };
    const answer = await ask(run_id);
    expect(answer, `${method} ${path}`).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } });
    expect(answer.body).toEqual((await ask('run_00000000000000000000')).body);
  }
  expect((await user.get('/runs')).body.runs).toEqual([]);
  expect((await user.get('/runs/counts')).body.total).toBe(0);
  expect((await user.get('/webhooks/deliveries')).body.deliveries).toEqual([]);
}

async function statusInTemporal(run_id: string): Promise<string> {
  return (await story.orchflow.client.workflow.getHandle(run_id).describe()).status.name;
}

describe('a run that has ended is purged', () => {
  test('of a goal: nobody finds it, nothing that was said in it is left, and its rows go', async () => {
    const { orchflow, user, model, provider_id } = story;
    let calls = 0;
    scriptRun(model, {
      execute: ({ task_id }) => {
        calls += 1;
        const code = '"zebra".length';
        return calls === 1 ? { call: [{ name: 'run_javascript', arguments: { code } }] } : `The zebra of ${task_id}.`;
      },
      finalize: () => 'The last zebra.',
    });
    const request = {
      task: 'Count every zebra.',
      provider_id,
      agents: [{ name: 'zebra', system_prompt: 'You are a zebra.', tools: ['run_javascript'] }],
      ask_me_about: ['the zebra'],
      webhook_url: endpoint.url,
      metadata: { zebra: 'zebra' },
      tags: ['zebra'],
      max_tokens: 1_000_000,
    };
    const { run_id } = (await post('/runs', request, 'start')).body;
    const run = user.openRun(run_id);
    await run.untilWaiting('T1');
    expect((await post(`/runs/${run_id}/tasks/T1/complete`, { output: 'All zebras.' }, 'answer')).status).toBe(200);
    await run.until('completed');
    await endpoint.untilReceived('completed');
    expect((await user.get('/runs?q=zebra&tag=zebra')).body.runs).toHaveLength(1);
    expect((await (await orchflow.register()).delete(`/runs/${run_id}?purge=true`)).status).toBe(404);
    const filled = [
      'gates',
      'idempotency_keys',
      'llm_calls',
      'run_costs',
      'run_events',
      'run_search',
      'runs',
      'tasks',
      'texts',
    ];
    expect(await tablesWith(orchflow.db, 'run_id', run_id)).toEqual([...filled, 'tool_calls', 'webhook_deliveries']);
    expect(await tablesThatSay(orchflow.db, 'zebra')).toEqual(
      expect.arrayContaining(['llm_calls', 'run_events', 'runs', 'tasks', 'texts']),
    );

    expect(await purge(run_id)).toMatchObject({
      status: 200,
      body: { run_id, status: 'purged', message: 'Run purged.' },
    });
    await expectNotFound(run_id);
    await until(async () => (await tablesThatSay(orchflow.db, 'zebra')).length === 0, 'nothing says what was said');
    // Whoever asks again, because the answer was lost, is told, and begins no other run.
    for (const [path, body, key] of [
      ['/runs', request, 'start'],
      [`/runs/${run_id}/tasks/T1/complete`, { output: 'All zebras.' }, 'answer'],
    ] as const) {
      expectProblem(await post(path, body, key), {
        status: 404,
        code: 'NOT_FOUND',
        detail: expect.stringContaining('purged'),
      });
    }
    await untilGone(story.orchflow.db, run_id);
    await expectNotFound(run_id);
  });

  test('of an orchestration, with the whole answer that was kept for its request', async () => {
    const { orchflow, user, model } = story;
    model.on(() => 'A zebra.');
    const id = await define(user, [
      { id: 'say', type: 'llm', prompt_template: '{state.user_message}', output_key: 'said' },
      { id: 'ask', type: 'human', human_prompt: 'Which one?', output_key: 'asked' },
      { id: 'sum', type: 'transform', transform_code: 'state.said + state.asked.response', output_key: 'sum' },
    ]);
    const body = { message: 'Zebra?', provider_id: story.provider_id, metadata: { zebra: 'zebra' } };
    const paused = await post(`/orchestrations/${id}/run`, body, 'run');
    expect(paused.body).toMatchObject({ status: 'paused' });
    const { run_id } = paused.body;
    const ended = await post(`/orchestrations/runs/${run_id}/resume`, { response: 'The zebra.' }, 'resume');
    expect(ended.body).toMatchObject({ status: 'completed', shared_state: { sum: 'A zebra.The zebra.' } });

    expect((await purge(run_id)).status).toBe(200);
    await expectNotFound(run_id);
    expect((await user.get('/orchestrations/runs')).body.runs).toEqual([]);
    await until(async () => (await tablesThatSay(orchflow.db, 'zebra')).length === 0, 'nothing says what was said');
    const kept = orchflow.db.selectFrom('idempotency_keys').select('answer_encrypted');
    const none = { answer_encrypted: null };
    expect(await kept.where('idempotency_key', 'in', ['run', 'resume']).execute()).toEqual([none, none]);
    await untilGone(story.orchflow.db, run_id);
  });

  test('and not before: 409 says to cancel it first', async () => {
    const run = await story.start({ execute: callsHang }, { ask_me_about: ['the budget'] });
    await run.untilWaiting('T1');
    const refused = { status: 409, code: 'RUN_NOT_FINISHED', detail: expect.stringContaining('Cancel it first.') };
    expectProblem(await purge(run.run_id), { ...refused, run_status: 'waiting_human' });
    await run.complete('T1', { output: 'Ten euros.' });
    await story.model.until(() => story.model.openCalls > 0);
    expectProblem(await purge(run.run_id), { ...refused, run_status: 'running' });
    expect(await story.user.delete(`/runs/${run.run_id}?purge=false`)).toMatchObject({ body: { status: 'cancelled' } });
    expect((await story.user.delete(`/runs/${run.run_id}?purge=yes`)).status).toBe(422);
    expect((await purge(run.run_id)).status).toBe(200);
    expect((await purge(run.run_id)).status).toBe(404);
    await story.model.untilHungUp();
    await untilGone(story.orchflow.db, run.run_id);
    expect(await statusInTemporal(run.run_id)).toBe('CANCELLED');
  });

  test('right after it was cancelled, while its readers stream: they are told the end', async () => {
    const { orchflow, user } = story;
    const run = await story.start({}, { ask_me_about: ['the budget'] });
    await run.untilWaiting('T1');
    const headers = { 'x-api-key': user.api_key };
    const stream = await fetch(`${orchflow.url}/api/v1/runs/${run.run_id}/events`, { headers });
    const waits = user.get(`/runs/${run.run_id}?wait=60&seen=waiting_human`);
    await until(() => orchflow.runEvents.watchers(run.run_id) === 2, 'both watch it');
    await run.cancel();
    await purge(run.run_id);
    expect(await stream.text()).toContain('"type":"done"');
    expect([200, 404]).toContain((await waits).status);
    await untilGone(story.orchflow.db, run.run_id);
  });

  test('and what was done again from it lives on', async () => {
    const { user } = story;
    const source = await story.start({ dependencies: { T2: ['T1'], T3: ['T2'] } });
    await source.until('completed');
    const again = { from_task: 'T3' };
    const { run_id } = (await user.post(`/runs/${source.run_id}/rerun`, again)).body;
    expect((await purge(source.run_id)).status).toBe(200);
    const run = user.openRun(run_id);
    const { tasks } = await run.until('completed');
    expect(tasks.map(({ output }) => output)).toEqual(['Output of T1.', 'Output of T2.', 'Output of T3.']);
    await untilGone(story.orchflow.db, source.run_id);
    expect(await run.get()).toMatchObject({ forked_from: source.run_id, tasks });
    expect((await user.post(`/runs/${run_id}/rerun`, again)).status).toBe(201);
  });
});

describe('what is under way when a run is purged', () => {
  test('a webhook that has yet to arrive is sent, and seen and sent again by nobody', async () => {
    const { orchflow, user } = story;
    endpoint.answer({ status: 500 });
    const run = await story.start({}, { webhook_url: endpoint.url });
    await run.until('completed');
    const { headers } = await endpoint.untilReceived('completed');
    const pending = orchflow.db.selectFrom('webhook_deliveries').select('status').where('run_id', '=', run.run_id);
    await until(async () => (await pending.execute())[0]?.status === 'pending', 'it will be tried again');
    await purge(run.run_id);
    expect((await user.get('/webhooks/deliveries')).body.deliveries).toEqual([]);
    const again = await user.post(`/webhooks/deliveries/${String(headers['webhook-id'])}/redeliver`, {});
    expectProblem(again, { status: 404, code: 'NOT_FOUND' });
    endpoint.answer({ status: 204 });
    await until(() => endpoint.requests.length === 2, 'it is sent again');
    expect(endpoint.requests[1]!.body).toBe(endpoint.requests[0]!.body);
    await untilGone(story.orchflow.db, run.run_id);
  });

  test('a subscription that is behind hears of the end, and of nothing else that is not on its way', async () => {
    endpoint.answer({ status: 500 });
    await subscribe(story.user, endpoint);
    const run = await story.start({});
    await run.until('completed');
    const { run_id } = run;
    await untilTold(endpoint, run_id, 'run.created');
    await purge(run_id);
    endpoint.answer({ status: 204 });
    await untilTold(endpoint, run_id, 'run.completed');
    await untilGone(story.orchflow.db, run_id);
    const types = toldOf(endpoint, run_id).map(({ type }) => type);
    expect(new Set(types)).toEqual(new Set(['run.created', 'run.completed']));
  });

  test('a start and a cancellation that Temporal has not heard of: it hears of them, and of nothing that was said', async () => {
    const { line, env } = await startTemporalLine(story.orchflow.env);
    line.cut();
    const environment = { TEMPORAL_ADDRESS: env.TEMPORAL_ADDRESS };
    const orchflow = await startOrchflow({ environment, worker: false });
    onTestFinished(() => orchflow.stop().finally(() => line.close()));
    const user = await orchflow.register();
    const provider_id = await user.addProvider(story.model);
    const run = await user.startRun({ task: 'Count every zebra.', provider_id, webhook_url: endpoint.url });
    await run.cancel();
    expect((await user.delete(`/runs/${run.run_id}?purge=true`)).status).toBe(200);
    const tries = async () =>
      (await orchflow.db.selectFrom('outbox').select('attempts').orderBy('outbox_id').execute())[0]!.attempts;
    const before = await tries();
    // The one that was under way may have read what was said.
    await until(async () => (await tries()) > before + 1, 'it is tried in vain');
    line.heal();
    await orchflow.startWorker();
    await endpoint.untilReceived('cancelled');
    await until(async () => (await tablesWith(orchflow.db, 'run_id', run.run_id)).length === 0, 'nothing is left');
    const { events } = await orchflow.client.workflow.getHandle(run.run_id).fetchHistory();
    expect(events!.some((event) => event.workflowExecutionCanceledEventAttributes)).toBe(true);
    expect(textsOf(events).join('\n')).not.toMatch(/zebra/i);
  });

  test('a request that does a part of it again, and comes too late', async () => {
    const { orchflow, user } = story;
    const source = await story.start({ dependencies: { T2: ['T1'], T3: ['T2'] } });
    await source.until('completed');
    const { answer: rerun } = await orchflow.db.transaction().execute(async (lock) => {
      await sql`lock table outbox in share mode`.execute(lock);
      const answer = user.post(`/runs/${source.run_id}/rerun`, { from_task: 'T3' });
      await untilBlocked(orchflow.db, 'it is being accepted');
      expect((await purge(source.run_id)).status).toBe(200);
      return { answer };
    });
    expectProblem(await rerun, { status: 404, code: 'NOT_FOUND' });
    expect((await user.get('/runs')).body.runs).toEqual([]);
    await untilGone(story.orchflow.db, source.run_id);
  });
});
