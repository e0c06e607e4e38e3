import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mcpKey, startFakeMcp, type FakeMcp } from '../fakes/mcp.ts';
import { startFakeModel, type FakeModel } from '../fakes/model.ts';
import { startOrchflow, type Orchflow, type TestRun, type User } from '../harness/orchflow.ts';
import { define, readStream, runSteps } from '../harness/orchestration.ts';
import { expectNoProvider } from '../harness/problem.ts';
import { inHouseWords } from '../harness/orchagent.ts';
import { send } from '../harness/raw.ts';
import { countRows } from '../harness/rows.ts';

/** What holds for the requests of all operations: null, fields and parameters that there are not, and the words of faults. */

type Json = Record<string, any>;

let orchflow: Orchflow;
let document: Json;
let user: User;
let mcp: FakeMcp;
let model: FakeModel;
let waiting: TestRun;
/** Of an orchestration, which waits at a form. */
let paused: string;
/** Has a provider; the others run on the demo model. */
let owner: User;
let provider_id: string;

const task = 'Compare three note apps.';
const ask = { id: 'ask', type: 'human', human_fields: [{ name: 'answer', type: 'textarea' }], output_key: 'said' };

beforeAll(async () => {
  orchflow = await startOrchflow();
  document = (await send(orchflow.url, 'GET', '/openapi.json')).body;
  [user, mcp, model] = await Promise.all([orchflow.register(), startFakeMcp(() => 'Rain.'), startFakeModel()]);
  waiting = await user.startRun({ task, ask_me_about: ['the budget'] });
  await waiting.untilWaiting('T1');
  paused = (await runSteps(user, [ask])).body.run_id;
  owner = await orchflow.register();
  provider_id = await owner.addProvider(model);
});
afterAll(async () => {
  mcp.down();
  await Promise.all([orchflow.stop(), model.close()]);
});

const ids = () => ({
  run_id: waiting.run_id,
  task_id: 'T1',
  orch_id: 'orch-research-report',
  version: 'v1',
  version_id: '00000000-0000-4000-8000-000000000000',
});

/** Of what only requests make. */
async function countMade() {
  const { accounts, providers, runs, orchestrations, mcp_servers } = await countRows(orchflow.db);
  return { accounts, providers, runs, orchestrations, mcp_servers };
}

/** An operation with ids that are there, or could be. */
async function call(method: string, path: string, body?: unknown, { api_key } = user) {
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => (ids() as Json)[name] ?? 'unknown');
  const headers = { 'x-api-key': api_key, ...(body !== undefined && { 'content-type': 'application/json' }) };
  const text = body === undefined ? undefined : JSON.stringify(body);
  return inHouseWords(await send(orchflow.url, method, filled, headers, text));
}

function operations(): { method: string; path: string; operation: Json }[] {
  return Object.entries<Json>(document.paths).flatMap(([path, item]) =>
    Object.entries<Json>(item).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  );
}

function resolved(schema: Json): Json {
  return schema.$ref ? document.components.schemas[schema.$ref.split('/').at(-1)] : schema;
}

const bodyOf = (operation: Json) => resolved(operation.requestBody.content['application/json'].schema);

/** The same with null for all that need not be given, at all depths. */
function withNulls(schema: Json, value: unknown): unknown {
  const { properties, items, anyOf, oneOf } = resolved(schema);
  if (Array.isArray(value)) return value.map((item) => withNulls(items, item));
  if (typeof value !== 'object' || value === null) return value;
  const choice = [...(anyOf ?? []), ...(oneOf ?? [])].find((one: Json) => fits(resolved(one), value));
  if (choice) return withNulls(choice, value);
  if (!properties) return value;
  const nulls = Object.keys(properties).map((name) => [name, null]);
  const given = Object.entries(value).map(([name, inner]) => [name, withNulls(properties[name], inner)]);
  return Object.fromEntries([...nulls, ...given]);
}

function fits({ type, properties = {} }: Json, value: object): boolean {
  const kind = properties.type?.const ?? properties.type?.enum?.[0];
  return type === 'object' && (kind === undefined || kind === (value as Json).type);
}

describe('null for a field is no such field', () => {
  const human = { ...ask, name: 'Ask' };
  const llm = { id: 'say', name: 'Say', type: 'llm' };
  const agent = {
    id: 'do',
    name: 'Do',
    type: 'agent',
    agent: { name: 'a' },
    allowed_tools: [{ name: 'http_request' }],
  };
  const steps = [
    { ...agent, next_step_id: 'say' },
    { ...llm, next_step_id: 'ask' },
    { ...human, human_fields: [{ name: 'answer' }] },
  ];
  test.for<[what: string, path: string, body: () => Json]>([
    ['a provider', '/api/v1/providers', () => ({ provider: 'openai', api_key: 'sk-canary' })],
    ['a run', '/api/v1/runs', () => ({ task })],
    [
      'a run with agents, tools and gates',
      '/api/v1/runs',
      () => ({ task, agents: [{ name: 'a', tools: [{ name: 'http_request' }] }], human_gates: [{ name: 'legal' }] }),
    ],
    ['an MCP server', '/api/v1/tools/mcp', () => ({ name: 'nulls', url: mcp.url, headers: { Authorization: mcpKey } })],
    [
      'an orchestration',
      '/api/v1/orchestrations',
      () => ({ name: 'Nulls', entry_step_id: 'do', steps, state_schema: { query: {} } }),
    ],
    ['a start of one', '/api/v1/orchestrations/{orch_id}/run', () => ({ message: 'Note apps' })],
    ['an answer', '/api/v1/runs/{run_id}/tasks/{task_id}/complete', () => ({ output: 'Ten euros.' })],
  ])('%s', async ([, path, body]) => {
    const schema = bodyOf(document.paths[path].post);
    const given = withNulls(schema, body());
    expect(JSON.stringify(given)).toContain(':null');
    const answer = await call('POST', path, given, path.endsWith('/providers') ? owner : user);
    expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(300);
  });

  test('a rerun, and an answer to a form', async () => {
    const nulls = { edits: null, provider_id: null };
    const rerun = await user.post(`/runs/${waiting.run_id}/rerun`, { from_task: 'T1', ...nulls });
    expect(rerun.status, JSON.stringify(rerun.body)).toBe(201);
    const answered = await user.post(`/orchestrations/runs/${paused}/resume`, {
      response: { answer: 'Yes' },
      step_id: null,
      gate_id: null,
    });
    expect(answered.body).toMatchObject({ status: 'completed', warnings: [] });
  });

  test('a default of the state that is null stays one, and a route to null ends the run', async () => {
    const route = { id: 'route', type: 'switch', switch_expression: '"a"', switch_cases: { a: null } };
    const id = await define(user, [route], { state_schema: { a: { default: null }, b: {} } });
    const { body } = await user.get(`/orchestrations/${id}`);
    expect(body.state_schema).toEqual({
      a: { type: null, default: null, description: null },
      b: { type: null, description: null },
    });
    expect(body.steps[0].switch_cases).toEqual({ a: null });
  });

  test('so one that must be given is missing, in the same words', async () => {
    for (const goal of [{ task: null }, {}, { task: undefined, agents: null }]) {
      const { status, body } = await user.post('/runs', goal);
      expect([status, body.errors]).toEqual([422, [{ pointer: '/task', detail: 'is required' }]]);
    }
    const { body } = await user.post('/runs', { task, agents: [{ name: null }], human_gates: [null] });
    expect(body.errors).toEqual([
      { pointer: '/agents/0/name', detail: 'is required' },
      { pointer: '/human_gates/0', detail: 'must be a text or an object' },
    ]);
  });
});

test('a parameter that an operation does not have is refused by it, and one that is given twice', async () => {
  const before = await countMade();
  for (const { method, path, operation } of operations().filter((one) => one.path !== '/health')) {
    const unknown = { pointer: '/nosuch', detail: 'is not a parameter of this request' };
    const answer = await call(method, `${path}?nosuch=1`, operation.requestBody && {});
    const all = path === '/agents/preview' ? expect.arrayContaining([unknown]) : [unknown]; // A name is missing there.
    expect([answer.status, answer.body.errors], `${method} ${path}`).toEqual([422, all]);
    for (const { name, in: place, schema } of operation.parameters ?? []) {
      if (place !== 'query' || schema.type === 'array') continue;
      const twice = await call(method, `${path}?${name}=1&${name}=1`, operation.requestBody && {});
      const errors = [{ pointer: `/${name}`, detail: 'is given more than once' }];
      expect([twice.status, twice.body.errors], `${method} ${path} ${name}`).toEqual([422, errors]);
    }
  }
  expect(await countMade()).toEqual(before);
  // Monitors put a number behind it that changes.
  expect((await call('GET', '/health?1764000000')).status).toBe(200);
});

test('a field that an operation does not have is refused by it, and a body where it takes none', async () => {
  const before = await countMade();
  for (const { method, path, operation } of operations()) {
    const isLenient = /^.api.v1.orchestrations.*\/(run|resume)(\/stream)?$|\/validate$/.test(path);
    const isForm = operation.requestBody?.content['multipart/form-data'] !== undefined;
    if (method === 'GET' || isLenient || isForm) continue;
    const answer = await call(method, path, { nosuch: 1 });
    const unknown = { pointer: '/nosuch', detail: 'is not a field of this request' };
    expect([answer.status, answer.body.errors], `${method} ${path}`).toEqual([422, expect.arrayContaining([unknown])]);
    if (operation.requestBody) expect(bodyOf(operation).additionalProperties, path).toBe(false);
  }
  expect(await countMade()).toEqual(before);
  const cancel = `/api/v1/runs/unknown`;
  for (const body of [undefined, {}]) expect((await call('DELETE', cancel, body)).status).toBe(404);
  for (const body of [[], null, 'x']) expect((await call('DELETE', cancel, body)).body.errors).toHaveLength(1);
});

describe('a field that Synapse would ignore is named in the warnings', () => {
  const warnings = ['`mesage` is not a field of this request.', '`session_id` is not a field of this request.'];
  const odd = { mesage: 'typo', session_id: null };

  test('of a start: in its answer, and in its run', async () => {
    const id = await define(user, [ask]);
    const { body } = await user.post(`/orchestrations/${id}/run`, { message: 'Go', ...odd });
    expect(body).toMatchObject({ status: 'paused', warnings });
    expect((await user.get(`/orchestrations/runs/${body.run_id}`)).body.warnings).toEqual(warnings);
    expect((await user.get(`/runs/${body.run_id}`)).body.warnings).toEqual(warnings);
    const answer = await user.post(`/orchestrations/runs/${body.run_id}/resume`, { response: 'Yes', respons: 1 });
    expect(answer.body).toMatchObject({
      status: 'completed',
      warnings: ['`respons` is not a field of this request.', ...warnings],
    });
    const plain = await user.post(`/orchestrations/${id}/run?wait=0`, { message: 'Go' });
    expect(plain).toMatchObject({ status: 202, body: { warnings: [] } });
  });

  test('of streams: before all other events', async () => {
    const id = await define(user, [ask]);
    const events = await readStream(orchflow.url, user, `/orchestrations/${id}/run/stream`, { message: 'Go', ...odd });
    const { run_id } = events[0];
    expect(events[0]).toEqual({ type: 'warning', run_id, warnings });
    expect(events[1].type).toBe('orchestration_start');
    expect((await user.get(`/orchestrations/runs/${run_id}`)).body.warnings).toEqual(warnings);
    const resumed = await readStream(orchflow.url, user, `/orchestrations/runs/${run_id}/resume/stream`, {
      response: 'Yes',
      a: 1,
    });
    expect(resumed[0]).toEqual({ type: 'warning', run_id, warnings: ['`a` is not a field of this request.'] });
  });

  test('but not without end, and only what can be stored', async () => {
    const names = [
      '\u0000nul',
      '\ud800half',
      `${'x'.repeat(63)}\u{1f600}`,
      ...Array.from({ length: 40 }, (_, n) => `n${n}`),
    ];
    const members = Object.fromEntries(names.map((name) => [name, 1]));
    const id = await define(user, [ask]);
    const { body } = await user.post(`/orchestrations/${id}/run`, { message: 'Go', ...members });
    expect(body.warnings).toHaveLength(21);
    expect(body.warnings.slice(0, 3)).toEqual([
      '`nul` is not a field of this request.',
      '`\ufffdhalf` is not a field of this request.',
      `\`${'x'.repeat(63)}\ufffd\` is not a field of this request.`,
    ]);
    expect(body.warnings.at(-1)).toBe('Nor are 23 more members.');
  });

  test('and a message must be there', async () => {
    const before = await countMade();
    for (const [message, detail] of [
      [undefined, 'is required'],
      [null, 'is required'],
      ['', 'must not be empty'],
      [' \n', 'must not be empty'],
      [7, 'must be a text'],
    ]) {
      for (const path of ['run', 'run/stream']) {
        const answer = await user.post(`/orchestrations/orch-research-report/${path}`, { message });
        expect([answer.status, answer.body.errors]).toEqual([422, [{ pointer: '/message', detail }]]);
      }
    }
    expect(await countMade()).toEqual(before);
  });
});

test('a provider that is unknown, deactivated or of another account is 404 at its place', async () => {
  const inactive = await user.addProvider(model);
  await user.delete(`/providers/${inactive}`);
  const before = await countMade();
  const rerun = `/runs/${waiting.run_id}/rerun`;
  for (const id of ['prv_unknown', inactive, provider_id]) {
    for (const [path, pointers, body] of [
      ['/runs', ['/provider_id'], { task, provider_id: id }],
      ['/runs', ['/fallback_provider_ids/0'], { task, fallback_provider_ids: [id] }],
      [
        '/runs',
        ['/fallback_provider_ids/0', '/fallback_provider_ids/1'],
        { task, fallback_provider_ids: [id, 'prv_x'] },
      ],
      [rerun, ['/provider_id'], { from_task: 'T1', provider_id: id }],
      ['/orchestrations/orch-research-report/run', ['/provider_id'], { message: 'Go', provider_id: id }],
      ['/orchestrations/orch-research-report/run/stream', ['/provider_id'], { message: 'Go', provider_id: id }],
    ] as const) {
      expectNoProvider(await user.post(path, body), ...pointers);
    }
  }
  expect(await countMade()).toEqual(before);
});
