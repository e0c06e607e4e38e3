import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startOrchflow, type Orchflow } from '../harness/orchflow.ts';
import { createStack, type Stack } from '../harness/orchstack.ts';
import { expectFault, expectProblem } from '../harness/problem.ts';

/** The registry of agents as OrchStack's clients see it. */

let orchflow: Orchflow;
let stack: Stack;
let user: Awaited<ReturnType<Orchflow['register']>>;

beforeAll(async () => {
  orchflow = await startOrchflow({ worker: false });
});
afterAll(() => orchflow.stop());
beforeEach(async () => {
  user = await orchflow.register();
  stack = createStack(orchflow.url, user);
});

test('an agent is created, read, changed and deleted; it is the one of /api/v1 too', async () => {
  const created = await stack.post('/agents', { name: 'booker', system_prompt: 'You book.', timeout_seconds: 60 });
  expect(created.status, JSON.stringify(created.body)).toBe(201);
  const { agent_id, version_id } = created.body;
  expect(created.body).toMatchObject({ name: 'booker', version: 'v1', timeout_seconds: 60, tools: [], model: null });
  expect(created.headers.get('location')).toBe(`/v1/agents/${agent_id}`);
  expect(created.headers.get('etag')).toBe(`"${version_id}"`);
  expect((await user.get(`/agents/${agent_id}`)).body).toEqual(created.body);

  const changed = await stack.patch(`/agents/${agent_id}`, { description: 'Books things.', timeout_seconds: 90 });
  expect(changed.body).toMatchObject({ version: 'v2', description: 'Books things.', system_prompt: 'You book.' });
  const read = await stack.get(`/agents/${agent_id}`);
  expect(read.body).toEqual(changed.body);
  for (const { headers, body } of [changed, read]) expect(headers.get('etag')).toBe(`"${body.version_id}"`);
  const same = await stack.patch(`/agents/${agent_id}`, { timeout_seconds: 90 });
  expect([same.body.version, same.headers.get('etag')]).toEqual(['v2', read.headers.get('etag')]);

  expectProblem(await stack.post('/agents', { name: 'BOOKER' }), {
    status: 409,
    code: 'AGENT_EXISTS',
    errors: [{ pointer: '/name', detail: expect.any(String) }],
  });
  expectFault(await stack.post('/agents', { name: 'x', prompt: 'y' }), '/prompt');
  expect(await stack.delete(`/agents/${agent_id}`)).toMatchObject({ status: 200, body: { status: 'deleted' } });
  for (const gone of [await stack.get(`/agents/${agent_id}`), await stack.delete(`/agents/${agent_id}`)])
    expectProblem(gone, { status: 404, code: 'NOT_FOUND', detail: 'Agent not found.' });
});

test('with If-Match nobody undoes a change that they have not seen, however many try at once', async () => {
  const { body, headers } = await stack.post('/agents', { name: 'booker' });
  const path = `/agents/${body.agent_id}`;
  const etag = headers.get('etag')!;
  const descriptions = Array.from({ length: 8 }, (_, n) => `Try ${n}.`);
  const tries = await Promise.all(
    descriptions.map((description) => stack.patch(path, { description }, { 'if-match': etag })),
  );
  const won = tries.filter(({ status }) => status === 200);
  expect(won.map((one) => one.body.version)).toEqual(['v2']);
  for (const lost of tries.filter((one) => one !== won[0]))
    expectProblem(lost, { status: 412, code: 'PRECONDITION_FAILED', detail: 'The agent is at v2 by now.' });
  expect((await stack.get(path)).body.description).toBe(won[0]!.body.description);

  const now = won[0]!.headers.get('etag')!;
  for (const [if_match, status] of [
    [`W/${now}`, 412],
    ['"other"', 412],
    ['""', 412],
    [`"other", ${now}`, 200],
    ['*', 200],
  ] as const) {
    const answer = await stack.patch(path, { description: won[0]!.body.description }, { 'if-match': if_match });
    expect(answer.status, if_match).toBe(status);
  }
  for (const wrong of ['other', '"a" "b"', `"${'x'.repeat(2_000)}"`])
    expectFault(await stack.patch(path, {}, { 'if-match': wrong }), '/If-Match');
  expectProblem(await stack.patch('/agents/agt_x', {}, { 'if-match': now }), { status: 404, code: 'NOT_FOUND' });
});

test('a request that is sent again creates one agent, and is answered with its ETag', async () => {
  const once = { 'idempotency-key': 'once' };
  const first = await stack.post('/agents', { name: 'once' }, once);
  const again = await stack.post('/agents', { name: 'once' }, once);
  expect([again.body, again.headers.get('etag')]).toEqual([first.body, first.headers.get('etag')]);
  expect((await stack.get('/agents')).body.agents).toHaveLength(1);
});

test('the list comes in pages, in the order asked for, with the fields asked for', async () => {
  for (const name of ['beta', 'Gamma', 'alpha', `"Ünïcödé" \\ ${'𝕏'.repeat(40)}`])
    await stack.createAgent({ name, model: name === 'beta' ? 'gpt-4o' : 'llama3', description: name });
  await stack.patch(`/agents/${(await stack.get('/agents?name=BETA')).body.agents[0].agent_id}`, {
    description: 'New',
  });

  for (const sort of ['-created_at', 'created_at', '-updated_at', 'updated_at', 'name', '-name']) {
    const whole = (await stack.get(`/agents?sort=${sort}`)).body.agents.map(({ name }: any) => name);
    expect(whole, sort).toHaveLength(4);
    const paged: string[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const { body } = await stack.get(`/agents?limit=1&fields=name&sort=${sort}${cursor && `&cursor=${cursor}`}`);
      expect(Object.keys(body.agents[0])).toEqual(['agent_id', 'name']);
      paged.push(body.agents[0].name);
      expect(body.has_more).toBe(body.next_cursor !== null);
      cursor = body.next_cursor;
    }
    expect(paged, sort).toEqual(whole);
  }
  const names = async (query: string) => (await stack.get(`/agents?${query}`)).body.agents.map((one: any) => one.name);
  expect((await names('sort=name')).slice(0, 3)).toEqual([expect.stringContaining('Ünï'), 'Gamma', 'alpha']);
  expect((await names('sort=-updated_at'))[0]).toBe('beta');
  expect(await names('model=gpt-4o')).toEqual(['beta']);
  expect(await names('model=gpt-4o&name=alpha')).toEqual([]);

  const fields = await stack.get('/agents?fields=name,nosuch');
  expectFault(fields, '/fields');
  expect(fields.body.errors[0].detail).toBe(
    'must be names of fields with commas between them: agent_id, name, version, version_id, description, model, ' +
      'provider_id, created_at, updated_at',
  );
  const sort = await stack.get('/agents?sort=model');
  expect(sort.body.errors).toEqual([
    { pointer: '/sort', detail: 'must be one of -created_at, created_at, -updated_at, updated_at, name, -name' },
  ]);
  for (const query of ['fields=', 'cursor=x', 'limit=0', 'colour=red', 'fields=name&fields=name'])
    expectFault(await stack.get(`/agents?${query}`), `/${query.split('=')[0]}`);
  const { next_cursor } = (await stack.get('/agents?limit=1&sort=name')).body;
  expectFault(await stack.get(`/agents?sort=created_at&cursor=${next_cursor}`), '/cursor');
  const stranger = createStack(orchflow.url, await orchflow.register());
  expect((await stranger.get('/agents')).body).toEqual({ agents: [], has_more: false, next_cursor: null });
});
