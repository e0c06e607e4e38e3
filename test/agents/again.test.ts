import { expect, test } from 'vitest';
import { startFakeModel } from '../fakes/model.ts';
import { startFakeWebhook } from '../fakes/webhook.ts';
import { registerAgent, runAgent } from '../harness/agent.ts';
import { until } from '../harness/orchflow.ts';
import { send } from '../harness/raw.ts';
import { untilRowIsAwaited } from '../harness/rows.ts';
import { scriptRun } from '../harness/script.ts';
import { useStory } from '../harness/story.ts';

/** Runs of one agent that come to their end late, are tried again, run again or sent again. */

const story = useStory();

const register = (agent: object = {}) => registerAgent(story.user, { provider_id: story.provider_id, ...agent });
const start = (agent_id: string, request?: object) => runAgent(story.user, agent_id, request);

test('an answer that came in time, and was written too late, completes it for everybody', async () => {
  const { model, orchflow } = story;
  const { promise: isLocked, resolve: locked } = Promise.withResolvers<void>();
  model.on(async () => {
    await isLocked;
    return 'In time.';
  });
  const webhook = await startFakeWebhook();
  const run = await start(await register({ timeout_seconds: 3 }), { webhook_url: webhook.url });
  await model.until(() => model.openCalls === 1);
  await orchflow.db.transaction().execute(async (trx) => {
    await trx.selectFrom('runs').select('run_id').where('run_id', '=', run.run_id).forNoKeyUpdate().execute();
    locked();
    await untilRowIsAwaited(orchflow.db, { by: 2 }, 'the answer, and then that it is late, are to be written');
  });
  await until(() => webhook.requests.length === 1, 'the webhook');
  expect(webhook.requests[0]!.payload).toMatchObject({ event: 'completed' });
  expect(await run.get()).toMatchObject({ status: 'completed', final_output: 'In time.', error: null });
  const result = await orchflow.client.workflow.getHandle(run.run_id).result();
  const { final_output_id } = await orchflow.db
    .selectFrom('runs')
    .select('final_output_id')
    .where('run_id', '=', run.run_id)
    .executeTakeFirstOrThrow();
  expect(result).toEqual({ status: 'completed', final_output_id, error: null });
  await webhook.down();
});

test('a retry with a larger budget has its task completed for readers too', async () => {
  const { model, user } = story;
  model.on(() => 'Long.');
  const agent_id = await register({ max_tokens: 1 });
  const failing = await start(agent_id, { on_budget: 'fail' });
  const asking = await start(agent_id, { on_budget: 'gate' });
  const { waiting_tasks } = await asking.until('waiting_human');
  await asking.complete(waiting_tasks[0]!, { decision: 'reject' });
  for (const run of [failing, asking]) {
    await run.until('failed');
    const { status, body } = await user.post(`/runs/${run.run_id}/retry`, { max_tokens: 1_000_000 });
    expect(status, JSON.stringify(body)).toBe(200);
    const done = await run.until('completed');
    const { tasks } = done;
    expect(done.final_output).toBe('Long.');
    expect(tasks[0]).toMatchObject({ id: 'T1', status: 'completed', output: 'Long.', error: null });
  }
});

test('a retry of one whose model called too many tools at once asks it anew', async () => {
  const { model, user } = story;
  const call = Array.from({ length: 33 }, () => ({ name: 'run_javascript', arguments: { code: '1' } }));
  model.on(() => ({ call }));
  const run = await start(await register({ tools: ['run_javascript'] }));
  expect((await run.until('failed')).tasks[0]).toMatchObject({ status: 'failed', evaluation: { passed: false } });
  model.on(() => 'One by one.');
  expect((await user.post(`/runs/${run.run_id}/retry`, {})).status).toBe(200);
  expect(await run.until('completed')).toMatchObject({ final_output: 'One by one.', tasks: [{ attempts: 2 }] });
});

test('a rerun is asked of what has replaced the provider of the run', async () => {
  const { user } = story;
  const own = scriptRun(await startFakeModel());
  own.on(() => 'From the replacement.');
  const first = await user.addProvider(own, 'openai');
  const run = await start(await register({ provider_id: first }));
  await run.until('completed');
  const second = await user.addProvider(own, 'openai', { replaces: first });
  const again = await user.post(`/runs/${run.run_id}/rerun`, { from_task: 'T1' });
  expect(again.status, JSON.stringify(again.body)).toBe(201);
  const done = await user.openRun(again.body.run_id).until('completed');
  expect(done).toMatchObject({ provider_id: second, agents: [{ provider_id: second }] });
  await own.close();
});

test('a request that is sent again starts one run', async () => {
  story.model.on(() => 'Once.');
  const agent_id = await register();
  const { orchflow, user } = story;
  const headers = { 'x-api-key': user.api_key, 'content-type': 'application/json', 'idempotency-key': 'agent-once' };
  const post = () =>
    send(orchflow.url, 'POST', `/api/v1/agents/${agent_id}/runs`, headers, JSON.stringify({ input: 'Once.' }));
  const first = await post();
  expect(first.status).toBe(201);
  expect((await post()).body).toEqual(first.body);
  const unanswered = { status: null, answer_encrypted: null, locked_until: new Date(0).toISOString() };
  await orchflow.db
    .updateTable('idempotency_keys')
    .set(unanswered)
    .where('idempotency_key', '=', 'agent-once')
    .execute();
  expect((await post()).body.run_id).toBe(first.body.run_id);
  expect((await user.get(`/runs?agent_id=${agent_id}`)).body.runs).toHaveLength(1);
  await user.openRun(first.body.run_id).until('completed');
  expect(story.model.calls).toHaveLength(1);
});

test.each(['/agents/AGENT/runs', '/runs'])('one to %s is found by its key, also when its agent is gone', async (to) => {
  const { orchflow, user, provider_id } = story;
  const agent_id = await register();
  const idempotency_key = `gone${to}`;
  const headers = { 'x-api-key': user.api_key, 'content-type': 'application/json', 'idempotency-key': idempotency_key };
  const request = to === '/runs' ? { task: 'x', provider_id, agents: [{ agent_id }] } : { input: 'x' };
  const body = JSON.stringify({ ...request, start_in: '1d' });
  const post = () => send(orchflow.url, 'POST', `/api/v1${to.replace('AGENT', agent_id)}`, headers, body);
  const first = await post();
  expect(first.status).toBe(201);
  const unanswered = { status: null, answer_encrypted: null, locked_until: new Date(0).toISOString() };
  await orchflow.db
    .updateTable('idempotency_keys')
    .set(unanswered)
    .where('idempotency_key', '=', idempotency_key)
    .execute();
  expect((await user.delete(`/agents/${agent_id}`)).status).toBe(200);
  expect(await post()).toMatchObject({ status: 201, body: { run_id: first.body.run_id } });
});
