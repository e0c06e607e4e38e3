import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startOrchflow, type Orchflow, type User } from '../harness/orchflow.ts';
import { expectProblem } from '../harness/problem.ts';
import { send } from '../harness/raw.ts';

/** Agents that an account registers: their versions, and what is refused of them. */

let orchflow: Orchflow;
let user: User;

beforeAll(async () => {
  orchflow = await startOrchflow({ worker: false, environment: { MAX_AGENTS_PER_ACCOUNT: '3' } });
});
beforeEach(async () => {
  user = await orchflow.register();
});
afterAll(() => orchflow.stop());

async function create(agent: object = {}): Promise<string> {
  const { status, body } = await user.post('/agents', { name: 'legal', ...agent });
  expect(status, JSON.stringify(body)).toBe(201);
  return body.agent_id;
}

const schema = {
  type: 'object',
  properties: {
    zeal: { type: 'integer', minimum: 0, description: 'From 0.' },
    answer: { anyOf: [{ type: 'string', maxLength: 10 }, { type: 'null' }] },
    list: { type: 'array', items: { enum: ['a', 'b', 1, true, null] }, maxItems: 3 },
  },
  required: ['zeal'],
  additionalProperties: false,
};

test('an agent has what it was given, and the rest by default', async () => {
  const given = {
    name: 'Legal',
    description: 'Reads contracts.',
    system_prompt: 'You read contracts.',
    model: 'gpt-4o',
    tools: ['run_javascript', { name: 'http_request', require_approval: true }],
    max_turns: 3,
    timeout_seconds: 60,
    require_approval: true,
    max_cost_usd: 0.5,
    max_tokens: 1_000,
    on_budget: 'fail',
    input_schema: schema,
    output_schema: schema,
  };
  const { status, headers, body } = await user.post('/agents', given);
  expect(status, JSON.stringify(body)).toBe(201);
  const { agent_id, version_id } = body;
  expect(agent_id).toMatch(/^agt_\w{20}$/);
  expect(version_id).toMatch(/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/);
  expect(headers.get('location')).toBe(`/api/v1/agents/${agent_id}`);
  const tools = [
    { name: 'run_javascript', require_approval: false },
    { name: 'http_request', require_approval: true },
  ];
  expect(body).toMatchObject({ ...given, tools, version: 'v1', provider_id: null });
  // A model fills in a schema in the order of its properties.
  const { body: read } = await user.get(`/agents/${agent_id}`);
  expect(Object.keys(read.output_schema.properties)).toEqual(['zeal', 'answer', 'list']);
  expect(read).toEqual(body);

  const plain = (await user.get(`/agents/${await create({ name: 'plain' })}`)).body;
  expect(plain).toMatchObject({ system_prompt: null, model: null, tools: [], max_turns: 15, timeout_seconds: 3_600 });
  expect(plain).toMatchObject({ require_approval: false, max_cost_usd: null, on_budget: 'gate', output_schema: null });
});

test('each change makes a version, one that changes nothing makes none, and earlier ones stay as they were', async () => {
  const agent_id = await create({ description: 'First.', max_turns: 2 });
  const path = `/agents/${agent_id}`;
  const changed = await user.patch(path, { description: 'Second.', name: 'lawyer' });
  expect(changed).toMatchObject({ status: 200, body: { version: 'v2', name: 'lawyer', max_turns: 2 } });
  for (const nothing of [{}, { description: 'Second.' }, { name: 'lawyer', tools: [] }]) {
    expect((await user.patch(path, nothing)).body).toEqual(changed.body);
  }
  const cleared = await user.patch(path, { description: null, max_turns: null });
  expect(cleared.body).toMatchObject({ version: 'v3', description: null, max_turns: 2 });

  const { versions } = (await user.get(`${path}/versions`)).body;
  expect(versions.map((one: any) => [one.version, one.is_latest])).toEqual([
    ['v3', true],
    ['v2', false],
    ['v1', false],
  ]);
  expect((await user.get(`${path}/versions/v1`)).body).toMatchObject({ name: 'legal', description: 'First.' });
  expect((await user.get(`${path}/versions/latest`)).body).toEqual(cleared.body);
  expect((await user.get(path)).body).toEqual(cleared.body);
  const [listed] = (await user.get('/agents')).body.agents;
  expect(listed).toMatchObject({ agent_id, name: 'lawyer', version: 'v3', version_id: versions[0].version_id });
  const unknown = { status: 404, code: 'NOT_FOUND' };
  expectProblem(await user.get(`${path}/versions/v4`), { ...unknown, detail: 'Agent version not found.' });
  for (const version of ['v0', 'newest', '%00'])
    expectProblem(await user.get(`${path}/versions/${version}`), { ...unknown, detail: 'Agent not found.' });
});

test('changes at the same time make a version each, with numbers without a gap', async () => {
  const path = `/agents/${await create()}`;
  const changes = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((description) => user.patch(path, { description })));
  expect(new Set(changes.map(({ body }) => body.version))).toEqual(new Set(['v2', 'v3', 'v4', 'v5', 'v6']));
});

test('one that is deleted while it is changed is changed, or not found', async () => {
  for (let round = 0; round < 5; round += 1) {
    const path = `/agents/${await create()}`;
    const names = ['a', 'b', 'c', 'd'];
    const [removed, ...changes] = await Promise.all([
      user.delete(path),
      ...names.map((description) => user.patch(path, { description })),
    ]);
    expect(removed.status).toBe(200);
    for (const { status } of changes) expect([200, 404]).toContain(status);
  }
});

test('no two agents of an account have one name, whatever the case; of two accounts they do', async () => {
  const agent_id = await create({ name: 'Legal' });
  const other = await create({ name: 'Other' });
  const taken = { status: 409, code: 'AGENT_EXISTS', errors: [{ pointer: '/name' }] };
  const [again, ...more] = await Promise.all([
    user.post('/agents', { name: 'LEGAL' }),
    user.patch(`/agents/${other}`, { name: 'legal' }),
  ]);
  for (const refused of [again, ...more]) expect(refused.body).toMatchObject(taken);
  expect((await user.patch(`/agents/${agent_id}`, { name: 'LEGAL' })).body.version).toBe('v2');
  expect((await user.get(`/agents/${other}`)).body.version).toBe('v1');
  const stranger = await orchflow.register();
  expect((await stranger.post('/agents', { name: 'legal' })).status).toBe(201);

  expect((await user.delete(`/agents/${agent_id}`)).body).toMatchObject({ agent_id, status: 'deleted' });
  for (const path of ['', '/versions', '/versions/v1'])
    expect((await user.get(`/agents/${agent_id}${path}`)).status).toBe(404);
  expect((await user.delete(`/agents/${agent_id}`)).status).toBe(404);
  await create({ name: 'legal' });
});

test('a request that is sent again registers one agent', async () => {
  const headers = { 'x-api-key': user.api_key, 'content-type': 'application/json', 'idempotency-key': 'once' };
  const body = JSON.stringify({ name: 'once' });
  const first = await send(orchflow.url, 'POST', '/api/v1/agents', headers, body);
  expect((await send(orchflow.url, 'POST', '/api/v1/agents', headers, body)).body).toEqual(first.body);
  // The first try was committed, and died before its answer was kept.
  const unanswered = { status: null, answer_encrypted: null, locked_until: new Date(0).toISOString() };
  await orchflow.db.updateTable('idempotency_keys').set(unanswered).where('idempotency_key', '=', 'once').execute();
  expect((await send(orchflow.url, 'POST', '/api/v1/agents', headers, body)).body).toEqual(first.body);
  expect((await user.get('/agents')).body.agents).toHaveLength(1);
});

test('a schema may say which JSON Schema it is of, as generated ones do', async () => {
  const input_schema = { $schema: 'https://json-schema.org/draft/2020-12/schema', ...schema, title: 'Input' };
  const { status, body } = await user.post('/agents', { name: 'legal', input_schema });
  expect({ status, input_schema: body.input_schema }).toEqual({ status: 201, input_schema });
});

test('the schemas of an agent are told as what can be taken back with null', async () => {
  const document: any = await (await fetch(`${orchflow.url}/openapi.json`)).json();
  const { CreateAgent, UpdateAgent } = document.components.schemas;
  for (const name of ['input_schema', 'output_schema']) {
    expect(JSON.stringify(CreateAgent.properties[name]), name).not.toContain('"null"');
    expect(JSON.stringify(UpdateAgent.properties[name]), name).toContain('"null"');
  }
});

describe('what is refused', () => {
  test('is told with its place', async () => {
    const deep = (n: number): object => (n === 0 ? { type: 'null' } : { type: 'array', items: deep(n - 1) });
    const object = (properties: object, more = {}) => ({ output_schema: { type: 'object', properties, ...more } });
    for (const [fields, pointer, detail] of [
      [{ name: '' }, '/name', 'must not be empty'],
      [{ system_prompt: 'x'.repeat(20_001) }, '/system_prompt', 'must be at most 20000 characters'],
      [{ prompt: 'x' }, '/prompt', 'is not a field of this request'],
      [{ tools: ['nothing'] }, '/tools/0', expect.stringContaining('"nothing" is not a tool')],
      [{ tools: [{ name: 'run_javascript', approve: true }] }, '/tools/0/approve', 'is not a field of this request'],
      [{ timeout_seconds: 86_401 }, '/timeout_seconds', 'must be at most 86400'],
      [{ max_turns: 51 }, '/max_turns', 'must be at most 50'],
      [{ max_cost_usd: 0 }, '/max_cost_usd', 'must be more than 0'],
      [{ input_schema: 'text' }, '/input_schema', 'must be a JSON Schema: an object with a `type`'],
      [{ input_schema: { type: 'string' } }, '/input_schema/type', 'must be object'],
      [object({}, { constructor: {} }), '/output_schema/constructor', 'is not a keyword that is taken here'],
      [object({}, { required: ['toString'] }), '/output_schema/required/0', 'is not one of the `properties`'],
      [object({ a: { $ref: '#' } }), '/output_schema/properties/a/$ref', 'is not a keyword that is taken here'],
      [object({ a: { type: 'string', pattern: '(a+)+$' } }), '/output_schema/properties/a/pattern', expect.anything()],
      [object({ a: { minLength: 3 } }), '/output_schema/properties/a', 'must say its `type`'],
      [object({ a: { type: 'string', minimum: 3 } }), '/output_schema/properties/a/minimum', expect.anything()],
      [object({}, { required: ['b'] }), '/output_schema/required/0', 'is not one of the `properties`'],
      [object({ a: { anyOf: [{}], type: 'null' } }), '/output_schema/properties/a/type', expect.anything()],
      [object({ a: deep(9) }), `/output_schema/properties/a${'/items'.repeat(9)}`, expect.stringContaining('deeper')],
      [object({ 'a\0': { type: 'null' } }), '/output_schema/properties/a\0', expect.anything()],
      [object({ a: { description: '\0' } }), '/output_schema/properties/a/description', expect.anything()],
      [object({ a: { enum: ['x'.repeat(1_001)] } }), '/output_schema/properties/a/enum/0', expect.anything()],
    ] as const) {
      const refused = await user.post('/agents', { name: 'legal', ...fields });
      expect(refused, JSON.stringify(refused.body)).toMatchObject({ status: 422, body: { code: 'VALIDATION_FAILED' } });
      expect(refused.body.errors, pointer).toContainEqual({ pointer, detail });
    }
    const long = object(
      Object.fromEntries(['a', 'b', 'c', 'd', 'e', 'f'].map((key) => [key, { title: 'x'.repeat(1_000) }])),
    );
    const many = { ...long.output_schema, description: 'x'.repeat(5_000) };
    const nested = { type: 'object', properties: { a: many, b: many }, description: 'x'.repeat(5_000) };
    const refused = await user.post('/agents', { name: 'legal', output_schema: nested });
    expect(refused.body.errors).toEqual([
      { pointer: '/output_schema', detail: 'must have at most 20000 characters as JSON' },
    ]);
    const unknown = await user.post('/agents', { name: 'legal', provider_id: 'prv_x' });
    const errors = [{ pointer: '/provider_id', detail: 'is not an active provider of this account' }];
    expectProblem(unknown, { status: 404, code: 'NOT_FOUND', detail: 'Provider not found.', errors });
    expect((await user.get('/agents')).body.agents).toEqual([]);
  });

  test('one agent too many, and one version too many', async () => {
    const agent_id = await create();
    for (const name of ['second', 'third']) await create({ name });
    const detail = 'This account has 3 agents, and may have no more. Delete one.';
    expectProblem(await user.post('/agents', { name: 'fourth' }), { status: 429, code: 'LIMIT_REACHED', detail });

    const rows = Array.from({ length: 98 }, (_, index) => ({ agent_id, number: index + 2, spec: '{}' }));
    await orchflow.db.insertInto('agent_versions').values(rows).execute();
    const spec = (await orchflow.db.selectFrom('agent_versions').select('spec').where('number', '=', 1).execute())[0]!;
    const latest = { agent_id, number: 100, spec: JSON.stringify(spec.spec) };
    await orchflow.db.insertInto('agent_versions').values(latest).execute();
    await orchflow.db.updateTable('agents').set({ latest: 100 }).where('agent_id', '=', agent_id).execute();
    const full = await user.patch(`/agents/${agent_id}`, { description: randomBytes(8).toString('hex') });
    expectProblem(full, { status: 429, code: 'LIMIT_REACHED' });
    expect(full.body.detail).toContain('This account has 100 versions of this agent');
  });
});
