import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createAgents, expectError, type Agents } from '../harness/orchagent.ts';
import { startOrchflow, type Orchflow, type User } from '../harness/orchflow.ts';
import { expectFault, expectProblem } from '../harness/problem.ts';
import { send } from '../harness/raw.ts';

/** Agents as their own account publishes them. */

let orchflow: Orchflow;
let user: User;
let agents: Agents;

beforeAll(async () => {
  orchflow = await startOrchflow({ worker: false, environment: { MAX_AGENTS_PER_ACCOUNT: '5' } });
});
beforeEach(async () => {
  user = await orchflow.register();
  agents = createAgents(orchflow.url, user);
});
afterAll(() => orchflow.stop());

const uuid = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/;

test('publishing makes v1, v2, …, each with all that it says; what was said before stays as it was', async () => {
  const preview = { name: 'reader', existing_versions: [], next_version: 'v1', org_slug: await agents.slug() };
  expect((await agents.get('/agents/preview?name=reader')).body).toEqual(preview);
  const given = {
    name: 'reader',
    type: 'agent',
    description: 'Reads.',
    prompt: 'You read.',
    loop: { max_turns: 7, custom_tools: [] },
    input_schema: { type: 'object', properties: { text: { type: 'string', pattern: '^x' } }, $defs: {} },
    tags: ['pdf', 'pdf'],
    supported_providers: ['openai'],
    default_models: { openai: 'gpt-4o' },
    manifest: { manifest_version: 1, dependencies: [{ id: 'acme/other', version: 'v1' }], max_hops: 2, colour: 'red' },
    required_secrets: ['STRIPE_KEY'],
    skill_files: [{ path: 'a/b.md', content: 'é', size: 9 }],
  };
  const { agent, service_key, warnings } = await agents.publish(given);
  expect(service_key).toMatch(/^sk_\w{49}$/);
  expect(warnings).toEqual(
    expect.arrayContaining([
      expect.stringContaining('manifest.colour'),
      expect.stringContaining('VALIDATION_SKIPPED: input_schema/properties/text/pattern'),
      expect.stringContaining('custom_tools'),
      expect.stringContaining('required_secrets'),
      expect.stringContaining('acme/other@v1'),
    ]),
  );
  expect(agent).toMatchObject({
    ...given,
    id: expect.stringMatching(uuid),
    version: 'v1',
    execution_engine: 'managed_loop',
    tags: ['pdf'],
    manifest: { manifest_version: 1, dependencies: [{ id: 'acme/other', version: 'v1' }], max_hops: 2 },
    skill_files: [{ path: 'a/b.md', content: 'é', size: 2 }],
    is_public: false,
    callable: true,
    run_mode: 'on_demand',
    default_endpoint: 'run',
    deprecated: false,
    code_bundle_url: null,
  });
  const again = await agents.publish(given);
  expect(again).toMatchObject({ agent: { version: 'v2' } });
  expect(again.service_key).toBeUndefined();
  expect((await agents.get(`/agents/${agent.id}`)).body).toEqual(agent);
  const { body: list } = await agents.get('/agents');
  expect(list.map(({ version }: any) => version)).toEqual(['v2', 'v1']);
  expect(list[1]).not.toHaveProperty('prompt');
  expect((await agents.get('/agents?limit=1&offset=1')).body).toEqual([list[1]]);
  expect((await agents.get('/agents/preview?name=reader')).body).toMatchObject({
    existing_versions: ['v1', 'v2'],
    next_version: 'v3',
  });
  // It is an agent of the house, which is asked for by what of its schema is checked.
  const { body } = await user.get(`/agents/${agent.agent_id}`);
  expect(body).toMatchObject({ name: 'reader', version: 'v2', system_prompt: 'You read.', max_turns: 7 });
  expect(body.input_schema).toEqual({ type: 'object', properties: { text: { type: 'string' } } });
  expect(Object.keys(body)).not.toEqual(expect.arrayContaining(['package']));
  expectError(await agents.post('/agents', { name: 'reader', version: 'v9' }), 'INVALID_INPUT', 400);
  expect((await agents.publish({ name: 'reader', version: 'v3' })).agent.version).toBe('v3');

  const atOnce = await Promise.all([1, 2, 3, 4].map(() => agents.publish({ name: 'reader' })));
  expect(new Set(atOnce.map((one) => one.agent.version))).toEqual(new Set(['v4', 'v5', 'v6', 'v7']));
  const both = await Promise.all([1, 2].map(() => agents.post('/agents', { name: 'reader', version: 'v8' })));
  const errors = both.flatMap(({ body }) => body.error?.errors ?? []);
  expect(errors).toEqual([{ pointer: '/version', detail: 'is given by the server, and the next is v9' }]);
});

test('the engine is what the CLI infers', async () => {
  const cases: [object, string, string][] = [
    [{}, 'prompt', 'direct_llm'],
    [{ type: 'prompt' }, 'prompt', 'direct_llm'],
    [{ type: 'skill' }, 'skill', 'direct_llm'],
    [{ type: 'agent' }, 'agent', 'managed_loop'],
    [{ type: 'agentic' }, 'agent', 'managed_loop'],
    [{ type: 'tool' }, 'tool', 'code_runtime'],
    [{ type: 'code' }, 'tool', 'code_runtime'],
    [{ type: 'agent', runtime: { command: 'python3 main.py' } }, 'agent', 'code_runtime'],
    [{ loop: { max_turns: 2 } }, 'agent', 'managed_loop'],
    [{ loop: {} }, 'prompt', 'direct_llm'],
    [{ type: 'tool', execution_engine: 'direct_llm' }, 'tool', 'direct_llm'],
  ];
  for (const [given, type, engine] of cases) {
    const { agent } = await agents.publish({ name: 'one', ...given });
    expect([agent.type, agent.execution_engine], JSON.stringify(given)).toEqual([type, engine]);
  }
});

test('what is wrong is named, and nothing is kept of it', async () => {
  const file = (path: string, content = 'x') => ({ path, content });
  const twice = ['a/b', 'A/b'].map((id) => ({ id, version: 'v1' }));
  const cases: [object, string][] = [
    [{ name: 'Reader' }, '/name'],
    [{ name: 'r', colour: 'red' }, '/colour'],
    [{ name: 'r', tags: Array.from({ length: 21 }, (_, at) => `t${at}`) }, '/tags'],
    [{ name: 'r', skill_files: [file('../x')] }, '/skill_files/0/path'],
    [{ name: 'r', skill_files: [file('/etc/passwd')] }, '/skill_files/0/path'],
    [{ name: 'r', skill_files: [file('a'), file('a')] }, '/skill_files'],
    [{ name: 'r', skill_files: Array.from({ length: 101 }, (_, at) => file(`f${at}`)) }, '/skill_files'],
    [{ name: 'r', skill_files: [file('a', 'x'.repeat(600_000)), file('b', 'x'.repeat(600_000))] }, '/skill_files'],
    [{ name: 'r', prompt: 'x'.repeat(100_001) }, '/prompt'],
    [{ name: 'r', input_schema: { type: 'object', description: 'x'.repeat(20_000) } }, '/input_schema'],
    [{ name: 'r', loop: [] }, '/loop'],
    [{ name: 'r', default_skills: ['not a ref'] }, '/default_skills/0'],
    [{ name: 'r', required_secrets: ['lower'] }, '/required_secrets/0'],
    [{ name: 'r', tools: ['nosuch'] }, '/tools/0'],
    [{ name: 'r', timeout_seconds: 0 }, '/timeout_seconds'],
    [{ name: 'r', manifest: { dependencies: [{ id: 'acme', version: 'v1' }] } }, '/manifest/dependencies/0/id'],
    [{ name: 'r', manifest: { dependencies: [{ id: 'a/b', version: 'v1.2' }] } }, '/manifest/dependencies/0/version'],
    [{ name: 'r', manifest: { dependencies: twice } }, '/manifest/dependencies'],
  ];
  for (const [given, pointer] of cases) {
    const { errors } = expectError(await agents.post('/agents', given), 'INVALID_INPUT', 400);
    expect(errors.map((fault: any) => fault.pointer)).toEqual([pointer]);
    const { status, body } = await agents.post('/agents/validate', given);
    expect([status, body.valid, body.errors.length]).toEqual([200, false, 1]);
    expect(body.errors[0]).toContain(pointer.slice(1).split('/')[0]);
  }
  expect((await agents.post('/agents/validate', { name: 'r', prompt: 'x' })).body).toEqual({
    valid: true,
    errors: [],
    warnings: [],
  });
  expect((await agents.get('/agents')).body).toEqual([]);
  expectError(await agents.get('/agents?colour=red'), 'INVALID_INPUT', 400);
  expectError(await send(orchflow.url, 'GET', '/agents'), 'UNAUTHORIZED', 401);
  expectError(await agents.call('PUT', '/agents'), 'METHOD_NOT_ALLOWED', 405);
  expectError(await agents.get('/agents/nosuch'), 'NOT_FOUND', 404);
  const headers = { authorization: `Bearer ${user.api_key}`, 'content-type': 'text/plain' };
  expectError(await send(orchflow.url, 'POST', '/agents', headers, 'x'), 'UNSUPPORTED_TYPE', 415);
  for (const at of [1, 2, 3, 4, 5]) await agents.publish({ name: `a${at}` });
  expectError(await agents.post('/agents', { name: 'a6' }), 'RATE_LIMITED', 429);
});

test('a change of what a version does makes another; how it is offered changes in place', async () => {
  const { agent } = await agents.publish({ name: 'reader', is_public: true, tags: ['a'], required_secrets: ['KEY'] });
  const path = `/agents/${agent.id}`;
  const offered = { callable: false, allow_local_download: true, price_cents: 5, tags: ['b', 'c'], deprecated: true };
  const { body: changed } = await agents.patch(path, offered);
  expect(changed).toMatchObject({ ...offered, id: agent.id, version: 'v1', is_public: true });
  expect(Date.parse(changed.sunset_at) - Date.parse(changed.deprecated_at)).toBe(60 * 86_400_000);
  const { body: other } = await agents.patch(path, { prompt: 'You write.', description: null, tags: ['d'] });
  expect(other).toMatchObject({ version: 'v2', prompt: 'You write.', tags: ['d'], is_public: true, price_cents: 5 });
  expect(other).toMatchObject({ deprecated: false, required_secrets: ['KEY'], agent_id: agent.agent_id });
  // A retry finds what was done.
  expect((await agents.patch(path, { prompt: 'You write.', description: null, tags: ['d'] })).body.id).toBe(other.id);
  expect((await agents.get(path)).body).toMatchObject({ prompt: 'You read.', tags: ['b', 'c'], deprecated: true });
  expect((await agents.patch(path, { deprecated: false, price_cents: null })).body).toMatchObject({
    deprecated: false,
    price_cents: null,
  });
  await agents.publish({ name: 'taken' });
  expectError(await agents.patch(path, { name: 'taken' }), 'CONFLICT', 409);
  // A version that another surface makes goes on as it was, and is shown to nobody before that is said.
  await user.patch(`/agents/${agent.agent_id}`, { description: 'Of the house.' });
  const [house] = (await agents.get('/agents')).body.filter(({ name }: any) => name === 'reader');
  expect(house).toMatchObject({
    version: 'v3',
    description: 'Of the house.',
    is_public: false,
    tags: ['d'],
    price_cents: 5,
  });
  expect(house.required_secrets).toEqual(['KEY']);
});

test('deleting asks for the name of what others may use, and no number is given twice', async () => {
  const { agent: first } = await agents.publish({ name: 'reader', is_public: true });
  const { agent: second } = await agents.publish({ name: 'reader' });
  const check = (id: string) => agents.get(`/agents/${id}/delete-check`);
  const said = { agent_id: first.id, agent_name: 'reader', requires_confirmation: true, stars_count: 0, fork_count: 0 };
  expect((await check(first.id)).body).toEqual(said);
  expect((await check(second.id)).body.requires_confirmation).toBe(false);
  for (const query of ['', '?confirmation_name=Reader']) {
    const { errors } = expectError(await agents.delete(`/agents/${first.id}${query}`), 'INVALID_INPUT', 400);
    expect(errors[0].pointer).toBe('/confirmation_name');
  }
  const gone = await agents.delete(`/agents/${second.id}`);
  expect(gone.body).toEqual({ deleted: true, agent_id: second.id, agent_name: 'reader' });
  expectError(await agents.get(`/agents/${second.id}`), 'NOT_FOUND', 404);
  expect((await user.get(`/agents/${first.agent_id}`)).body.version).toBe('v1');
  expect((await agents.publish({ name: 'reader' })).agent.version).toBe('v3');
  for (const { id } of (await agents.get('/agents')).body)
    await agents.delete(`/agents/${id}?confirmation_name=reader`);
  expectProblem(await user.get(`/agents/${first.agent_id}`), { status: 404, code: 'NOT_FOUND' });
  expect((await agents.publish({ name: 'reader' })).agent.version).toBe('v1');
});

test('a skill package is listed and shown, and starts nothing', async () => {
  const { agent } = await agents.publish({ name: 'style', type: 'skill', prompt: 'Be brief.' });
  expect((await agents.get('/agents')).body[0]).toMatchObject({ name: 'style', type: 'skill' });
  expectFault(await user.post(`/agents/${agent.agent_id}/runs`, { input: 'A clause.' }), '/agent_id');
  const goal = { task: 'Compare.', agents: [{ agent_id: agent.agent_id }] };
  expect((await user.post('/runs', goal)).body).toMatchObject({ code: 'NOT_FOUND' });
});
