import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startFakeModel, type FakeModel } from '../fakes/model.ts';
import { startFakeWeb, type FakeWeb } from '../fakes/web.ts';
import { registerAgent, runAgent } from '../harness/agent.ts';
import { createUser, startOrchflow, type Answer, type Orchflow, type User } from '../harness/orchflow.ts';
import { define } from '../harness/orchestration.ts';
import { expectFault, expectProblem } from '../harness/problem.ts';
import { send } from '../harness/raw.ts';

/** OrchStack's keys: live ones, and those of tests, which cost nothing. On a server that has no model of its own, with quotas. */

const task = 'Compare three note apps.';

let orchflow: Orchflow;
let user: User;
let tester: User;
let model: FakeModel;
let provider_id: string;
let web: FakeWeb;

beforeAll(async () => {
  model = await startFakeModel();
  web = await startFakeWeb(() => ({ body: JSON.stringify({ results: [] }) }));
  const quotas = { MONTHLY_RUN_LIMIT: '2', RATE_LIMIT_PER_MINUTE: '0' };
  orchflow = await startOrchflow({
    environment: {
      ORCHFLOW_MODE: 'hosted',
      ORCHFLOW_EMBEDDED: 'false',
      REGISTER_LIMIT_PER_HOUR: '0',
      SEARXNG_URL: web.url,
      ...quotas,
    },
  });
});
afterAll(async () => {
  await Promise.all([orchflow.stop(), model.close()]);
  web.down();
});
beforeEach(async () => {
  model.reset();
  user = await orchflow.register();
  provider_id = await user.addProvider(model);
  tester = createUser(orchflow.url, (await make({ scopes: ['*'], mode: 'test' })).body.api_key, '', '');
});

function ask(method: string, path: string, body?: object, { api_key } = user, more: Record<string, string> = {}) {
  const headers = { authorization: `Bearer ${api_key}`, 'content-type': 'application/json', ...more };
  return send(orchflow.url, method, `/v1/api-keys${path}`, headers, body && JSON.stringify(body));
}

const make = (key: object, by = user): Promise<Answer> =>
  ask('POST', '', { name: 'Some', scopes: ['runs:read'], ...key }, by);

/** What of the account's providers and the operator's models it has used. */
async function callsOf(run_id: string) {
  const calls = orchflow.db.selectFrom('llm_calls').select(['vendor', 'provider_id', 'cost_usd']);
  return calls.where('run_id', '=', run_id).execute();
}

test('keys are live or for tests, and say so; each is taken on any surface that its scopes allow', async () => {
  for (const [mode, key] of [
    ['live', {}],
    ['live', { mode: 'live' }],
    ['test', { mode: 'test', expires_in: '1d' }],
  ] as const) {
    const { status, body } = await make(key);
    expect(status, JSON.stringify(body)).toBe(201);
    expect(body.api_key).toMatch(new RegExp(`^os_${mode}_[0-9A-Za-z]{49}$`));
    expect(body).toMatchObject({ mode, key_prefix: body.api_key.slice(0, 12), scopes: ['runs:read'] });
    const holder = createUser(orchflow.url, body.api_key, '', '');
    expect((await holder.get('/runs')).status).toBe(200);
    expect((await holder.get('/agents')).status).toBe(403);
    expectProblem(await ask('GET', '', undefined, holder), { status: 403, code: 'MISSING_SCOPE', scope: 'keys:read' });
    const mistyped = { api_key: body.api_key.slice(0, -1) + (body.api_key.endsWith('0') ? '1' : '0') };
    expect((await ask('GET', '', undefined, { ...holder, ...mistyped })).status).toBe(401);
  }
  expect((await ask('GET', '')).body.api_keys.map(({ mode }: { mode: string }) => mode)).toEqual([
    'test',
    'live',
    'live',
    'test',
    'live',
  ]);
});

test('the list has pages in either order, a filter and a choice of fields', async () => {
  for (const name of ['a', 'b', 'c']) await make({ name });
  const names: string[] = [];
  for (let cursor = ''; ;) {
    const { body } = await ask('GET', `?sort=created_at&limit=2&fields=name${cursor}`);
    for (const key of body.api_keys) expect(Object.keys(key).toSorted()).toEqual(['key_id', 'name']);
    names.push(...body.api_keys.map(({ name }: { name: string }) => name));
    if (!body.has_more) break;
    cursor = `&cursor=${body.next_cursor}`;
  }
  expect(names).toEqual(['First key', 'Some', 'a', 'b', 'c']);
  expect((await ask('GET', '?mode=test')).body.api_keys).toMatchObject([{ name: 'Some' }]);
  for (const [query, pointer] of [
    ['?sort=name', '/sort'],
    ['?fields=name,nosuch', '/fields'],
    ['?mode=both', '/mode'],
    ['?cursor=x', '/cursor'],
  ] as const) {
    expectFault(await ask('GET', query), pointer);
  }
});

test('a test key makes and takes back only such, and none is the last that may do everything', async () => {
  expectProblem(await make({}, tester), {
    status: 403,
    code: 'TEST_KEY',
    errors: [{ pointer: '/mode', detail: 'must be test: the key that asks is one' }],
  });
  const made = (await make({ mode: 'test' }, tester)).body;
  expect((await tester.post('/keys', { name: 'Another', scopes: ['runs:read'] })).body.api_key).toMatch(/^os_test_/);
  const first = (await ask('GET', '?sort=created_at')).body.api_keys[0];
  expectProblem(await ask('DELETE', `/${first.key_id}`, undefined, tester), { status: 403, code: 'TEST_KEY' });
  expectProblem(await ask('DELETE', `/${first.key_id}`), { status: 409, code: 'LAST_KEY' });
  expect((await ask('DELETE', `/${made.key_id}`, undefined, tester)).body.status).toBe('deleted');
});

test('what is started with a test key is answered by the demo model, whatever there is, and counts against nothing', async () => {
  expectProblem(await user.post('/runs', { task }), { status: 402, code: 'PROVIDER_REQUIRED' });
  const runs = [
    await tester.startRun({ task }),
    await tester.startRun({ task, provider_id }),
    // Models that no provider of the account has.
    await tester.startRun({
      task,
      agents: [
        { name: 'writer', model: 'gemini-2.5-pro' },
        { name: 'editor', model: 'o1' },
      ],
    }),
  ];
  const agent_id = await registerAgent(user, { provider_id, model: 'gpt-4o' });
  await user.delete(`/providers/${provider_id}`);
  expect((await user.post(`/agents/${agent_id}/runs`, { input: 'Read this.' })).status).toBe(422);
  runs.push(await runAgent(tester, agent_id));
  for (const run of runs) {
    const { status, final_output, usage, warnings } = await run.until('completed');
    expect({ status, cost: usage.cost_usd }).toEqual({ status: 'completed', cost: 0 });
    expect(final_output).toContain('offline demo model');
    expect(warnings).toEqual(['This is a test: the demo model answers, and no model is paid.']);
    const calls = await callsOf(run.run_id);
    expect(calls.length).toBeGreaterThan(0);
    for (const call of calls) expect(call).toEqual({ vendor: 'demo', provider_id: null, cost_usd: 0 });
  }
  const steps = [{ id: 'say', type: 'llm', prompt_template: 'Say it.', output_key: 'said' }];
  const ran = await tester.post(`/orchestrations/${await define(user, steps)}/run`, { message: 'Hello' });
  expect(ran.body.status).toBe('completed');
  expect(model.calls).toEqual([]);

  // The operator pays for what searches the web.
  const search = [
    { id: 'look', type: 'tool', forced_tool: 'web_search', prompt_template: 'Look.', output_key: 'found' },
  ];
  const looked = await tester.post(`/orchestrations/${await define(user, search)}/run`, { message: 'Otters' });
  expect(looked.body.status).toBe('failed');
  expect(web.requests).toEqual([]);

  // Two live runs a month, and no more.
  const own = { task, provider_id: await user.addProvider(model) };
  model.on(() => 'Found nothing.');
  for (const status of [201, 201, 429]) expect((await user.post('/runs', own)).status).toBe(status);
  expect((await tester.post('/runs', own)).status).toBe(201);
});

test('what does a test again is a test, whoever asks for it', async () => {
  const failed = await tester.startRun({ task, provider_id, max_tokens: 1, on_budget: 'fail' });
  await failed.until('failed');
  expect((await user.post(`/runs/${failed.run_id}/retry`, { max_tokens: 1_000_000 })).status).toBe(200);
  const { tasks } = await user.openRun(failed.run_id).until('completed');
  const rerun = await user.post(`/runs/${failed.run_id}/rerun`, { from_task: tasks.at(-1)!.id });
  expect(rerun.status, JSON.stringify(rerun.body)).toBe(201);
  const again = await user.openRun(rerun.body.run_id).until('completed');
  expect(again.warnings).toEqual([expect.stringMatching(/^This is a test/)]);
  const headers = { authorization: `Bearer ${user.api_key}` };
  const { body } = await send(orchflow.url, 'GET', '/v1/runs?mode=test&fields=mode', headers);
  expect(body.runs).toEqual([again, failed].map(({ run_id }) => ({ run_id, mode: 'test' })));
  for (const { run_id } of [failed, again]) {
    expect(new Set((await callsOf(run_id)).map(({ vendor }) => vendor))).toEqual(new Set(['demo']));
  }
});

test('a test key does nothing to what is live', async () => {
  model.on(() => 'Found nothing.');
  const live = await user.startRun({ task, provider_id, ask_me_about: ['the budget'] });
  await live.untilWaiting('T1');
  const path = `/runs/${live.run_id}`;
  expect((await tester.get(path)).status).toBe(200);
  for (const [method, at, body] of [
    ['POST', `${path}/tasks/T1/complete`, { output: 'Ten euros.' }],
    ['POST', `${path}/hold`, {}],
    ['POST', `${path}/retry`, {}],
    ['PATCH', path, { max_cost_usd: 100 }],
    ['DELETE', path, undefined],
  ] as const) {
    expectProblem(await tester.insist(method, at, body), { status: 403, code: 'TEST_KEY' });
  }
  expect((await live.get()).status).toBe('waiting_human');

  const own = await tester.startRun({ task, ask_me_about: ['the budget'] });
  await own.untilWaiting('T1');
  expect((await own.complete('T1', { output: 'Ten euros.' })).status).toBe(200);
  await own.until('completed');
  await live.cancel();
});

test('a test key changes nothing that live runs use', async () => {
  const { person_id } = (await user.post('/people', { name: 'Ben' })).body;
  const agent_id = await registerAgent(user, { provider_id, model: 'gpt-4o' });
  const headers = { authorization: `Bearer ${tester.api_key}`, 'content-type': 'application/json' };
  for (const [method, path, body] of [
    ['POST', '/api/v1/people', { name: 'Eve' }],
    ['POST', `/api/v1/people/${person_id}/key`, undefined],
    ['DELETE', `/api/v1/people/${person_id}`, undefined],
    ['DELETE', `/api/v1/providers/${provider_id}`, undefined],
    ['POST', '/api/v1/webhooks/secret/rotate', undefined],
    ['PATCH', `/v1/agents/${agent_id}`, { instructions: 'Lie.' }],
    ['POST', '/v1/workflows', { name: 'W' }],
    ['POST', '/v1/webhooks', { url: 'https://example.com/hook', events: ['agent.run.failed'] }],
    ['POST', '/v1/knowledge', { name: 'Handbook' }],
    ['POST', '/v1/oauth/clients', { name: 'Mine' }],
    ['DELETE', '/v1/oauth/clients/ocl_any', undefined],
    ['DELETE', '/api/v1/files/file_any', undefined],
  ] as const) {
    const answer = await send(orchflow.url, method, path, headers, body && JSON.stringify(body));
    expectProblem(answer, { status: 403, code: 'TEST_KEY' });
  }
  expect((await tester.get('/people')).body.people).toMatchObject([{ person_id }]);
});

test('an Idempotency-Key of a test is none of a live request', async () => {
  const start = ({ api_key }: User) =>
    send(
      orchflow.url,
      'POST',
      '/api/v1/runs',
      { 'x-api-key': api_key, 'content-type': 'application/json', 'idempotency-key': 'once' },
      JSON.stringify({ task, provider_id }),
    );
  const first = await start(tester);
  expect(first.status).toBe(201);
  expect((await start(tester)).body).toEqual(first.body);
  expectProblem(await start(user), { status: 422, code: 'IDEMPOTENCY_KEY_REUSED' });
});
