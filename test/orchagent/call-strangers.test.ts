import { expect, test } from 'vitest';
import { uuidOf } from '../../src/ids.ts';
import { createCaller, publish } from '../harness/calls.ts';
import { startOrchflow, type User } from '../harness/orchflow.ts';
import { useStory } from '../harness/story.ts';

/** Public agents that others call: whose provider, whose prompt, and whose keys. */

const story = useStory();

let number = 0;
/** An organisation that no other test has. */
const newOrg = () => `others-${(number += 1)}`;
const call = (user: User = story.user) => createCaller(story.orchflow.url, user).post;
const offer = (
  org: string,
  ...agent: Parameters<typeof publish> extends [any, any, any, ...infer Rest] ? Rest : never
) => publish(story.orchflow, story.user, org, ...agent);

test("another's agent runs in the account of who calls, who never reads what it is told", async () => {
  const org = newOrg();
  const { model, orchflow } = story;
  const agent = {
    system_prompt: 'You have a secret recipe.',
    tools: [{ name: 'http_request', require_approval: true }],
  };
  const agent_id = await offer(org, { name: 'cook', ...agent, provider_id: story.provider_id }, { is_public: true });
  await offer(org, { name: 'hidden' });
  await offer(org, { name: 'shown' }, { is_public: true, callable: false });
  await offer(org, { name: 'dear' }, { is_public: true, price_cents: 5 });
  await offer(org, { name: 'trick' }, { is_public: true, type: 'skill' });
  const stranger = await orchflow.register();
  const post = call(stranger);
  const refusals = Object.fromEntries(
    await Promise.all(
      ['hidden', 'nosuch', 'shown', 'dear', 'trick'].map(async (name) => [
        name,
        await post(`/${org}/${name}/v1/run`, {}),
      ]),
    ),
  );
  const codeOf = ({ status, body }: any) => [status, body.error.code];
  expect(codeOf(refusals.shown)).toEqual([403, 'FORBIDDEN']);
  expect(codeOf(refusals.dear)).toEqual([402, 'INSUFFICIENT_CREDITS']);
  expect(codeOf(refusals.trick)).toEqual([422, 'UNPROCESSABLE']);
  const [hidden, nosuch] = [refusals.hidden, refusals.nosuch].map(({ status, body }) => [
    status,
    { ...body, metadata: 0 },
  ]);
  expect(hidden).toEqual(nosuch);
  expect(hidden![0]).toBe(404);
  for (const name of ['hidden', 'shown', 'dear']) {
    model.on(() => 'Mine.');
    expect((await call()(`/${org}/${name}/v1/run`, {})).status, name).toBe(200);
  }

  const provider_id = await stranger.addProvider(model, 'anthropic', { model: 'claude-x' });
  model.reset();
  model.on(() => 'Soup.');
  const { status, body, headers } = await post(`/${org}/cook/v1/run`, { dish: 'soup' });
  expect([status, body.data], JSON.stringify(body)).toEqual([200, { result: 'Soup.' }]);
  const [asked] = model.calls;
  expect([asked!.system, asked!.model]).toEqual([expect.stringContaining('You have a secret recipe.'), 'claude-x']);
  const { body: mine } = await stranger.get('/runs');
  const [{ run_id }] = mine.runs;
  expect(uuidOf(run_id)).toBe(headers.get('x-run-id'));
  expect((await story.user.get(`/runs/${run_id}`)).status).toBe(404);
  const run = (await stranger.get(`/runs/${run_id}`)).body;
  expect(run).toMatchObject({ agent_id, provider_id, agents: [{ name: 'cook', version: 'v1', system_prompt: '' }] });
  const seen = await Promise.all(
    ['', '/audit', '/events', '/tasks', '/tasks/T1/attempts', '?live=true'].map((rest) =>
      stranger.get(`/runs/${run_id}${rest}`),
    ),
  );
  const { api_key } = stranger;
  for (const path of [`/v1/runs/${run_id}`, '/v1/runs'])
    seen.push(
      (await fetch(orchflow.url + path, { headers: { 'x-api-key': api_key } }).then((answer) => answer.json())) as any,
    );
  const history = await orchflow.client.workflow.getHandle(run_id).fetchHistory();
  for (const text of [JSON.stringify(seen), JSON.stringify(history)]) {
    expect(text).not.toContain('secret recipe');
    expect(text).not.toContain('http_request');
  }
  const again = await stranger.post(`/runs/${run_id}/rerun`, { from_task: 'T1' });
  await stranger.openRun(again.body.run_id).until('completed');
  expect(model.calls.at(-1)!.system).toContain('You have a secret recipe.');
  expect(JSON.stringify((await stranger.get(`/runs/${again.body.run_id}`)).body)).not.toContain('secret recipe');
});

test('credentials of a call are used for it, and are nowhere afterwards', async () => {
  const org = newOrg();
  const { model, orchflow } = story;
  model.on(() => 'Fine.');
  await offer(org, { name: 'any' }, { is_public: true });
  const stranger = await orchflow.register();
  const llm_credentials = {
    api_key: 'sk-canary-of-a-call',
    provider: 'openai',
    model: 'gpt-4o',
    base_url: model.baseUrl('openai'),
  };
  const { status, body } = await call(stranger)(`/${org}/any/v1/run`, { text: 'x', llm_credentials });
  expect([status, body.data], JSON.stringify(body)).toEqual([200, { result: 'Fine.' }]);
  expect(model.calls[0]).toMatchObject({ model: 'gpt-4o', headers: { authorization: 'Bearer sk-canary-of-a-call' } });
  expect(model.calls[0]!.prompt).not.toContain('llm_credentials');
  expect((await stranger.get('/providers')).body.providers).toEqual([]);
  const rows = await orchflow.db.selectFrom('providers').selectAll().where('run_id', 'is not', null).execute();
  expect(rows.map((row) => [row.status, row.api_key_encrypted, row.base_url])).toEqual([['inactive', null, null]]);
  // Its run is done again by what the account has, where it has anything.
  const run_id = (await stranger.get('/runs')).body.runs[0].run_id;
  const rerun = () => stranger.post(`/runs/${run_id}/rerun`, { from_task: 'T1' });
  const without = await rerun();
  await stranger.addProvider(model);
  const again = await rerun();
  expect([without.status, again.status], JSON.stringify(again.body)).toEqual([422, 201]);
  await stranger.openRun(again.body.run_id).until('completed');
  const ollama = { api_key: model.baseUrl('ollama'), provider: 'ollama', model: 'llama3.2' };
  const local = await call(stranger)(`/${org}/any/v1/run`, { text: 'y', llm_credentials: ollama });
  expect([local.status, model.calls.at(-1)], JSON.stringify(local.body)).toMatchObject([
    200,
    { vendor: 'ollama', model: 'llama3.2' },
  ]);
  for (const wrong of [
    { provider: 'none' },
    'sk-canary-text',
    { api_key: 'sk-canary-x\n' },
    { api_key: 'of nobody' },
  ]) {
    const refused = await call(stranger)(`/${org}/any/v1/run`, { llm_credentials: wrong });
    expect([refused.status, refused.body.error.code]).toEqual([400, 'INVALID_INPUT']);
    expect(JSON.stringify(refused.body)).not.toContain('canary');
  }
});

test('what the provider will not do in time is told at once, and the provider left alone', async () => {
  const org = newOrg();
  const { orchflow, model } = story;
  const user = await orchflow.register();
  await user.addProvider(model);
  await publish(orchflow, user, org, { name: 'refused' });
  await publish(orchflow, user, org, { name: 'short', timeout_seconds: 5 });
  const post = call(user);
  const failing = async (name: string, reply: { status: number; headers?: Record<string, string> }) => {
    model.reset();
    model.on(() => reply);
    const { status, body } = await post(`/${org}/${name}/v1/run`, {});
    return [status, body.error.code, body.error.is_retryable, model.calls.length];
  };
  for (const status of [401, 403, 404])
    expect(await failing('refused', { status }), `${status}`).toEqual([502, 'LLM_ERROR', false, 1]);
  const late = await failing('short', { status: 500 });
  expect(late.slice(0, 3)).toEqual([502, 'LLM_ERROR', true]);
  const blocked = { status: 429, headers: { 'retry-after': '3600' } };
  expect(await failing('short', blocked)).toEqual([429, 'LLM_RATE_LIMITED', true, 1]);
  expect(await failing('short', blocked)).toEqual([429, 'LLM_RATE_LIMITED', true, 0]);
  const { runs } = (await user.get('/runs?limit=2')).body;
  for (const { run_id } of runs) {
    const { events } = await orchflow.client.workflow.getHandle(run_id).fetchHistory();
    expect(events!.length).toBeLessThan(30);
  }
});

test('without a provider, on a server that lends none, a key is required', async () => {
  const orchflow = await startOrchflow({
    environment: { ALLOW_MANAGED_RUNS_WITHOUT_PROVIDER: 'false' },
    worker: false,
  });
  const user = await orchflow.register();
  await publish(orchflow, user, 'others-alone', { name: 'poor' });
  const { status, body } = await createCaller(orchflow.url, user).post('/others-alone/poor/v1/run', {});
  expect([status, body.error.code, body.error.is_retryable]).toEqual([422, 'LLM_KEY_REQUIRED', false]);
  await orchflow.stop();
});
