import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { resolveSkills } from '../../src/agents/skill-packages.ts';
import { reservedSlugs, slugsFor } from '../../src/accounts/slugs.ts';
import { createAgents, expectError, type Agents } from '../harness/orchagent.ts';
import { startOrchflow, type Orchflow, type User } from '../harness/orchflow.ts';
import { send } from '../harness/raw.ts';

/** What anybody sees of agents, and what of them stays with their authors. */

let orchflow: Orchflow;
let author: User;
let agents: Agents;
let org: string;

beforeAll(async () => {
  orchflow = await startOrchflow({ worker: false });
});
beforeEach(async () => {
  author = await orchflow.register();
  agents = createAgents(orchflow.url, author);
  org = await agents.slug();
});
afterAll(() => orchflow.stop());

const anybody = (path: string) => send(orchflow.url, 'GET', path);
const listed = async (query: string) => (await anybody(`/public/agents?search=${org}${query}`)).body as any[];
const secret = {
  prompt: 'THE CONFIDENTIAL PROMPT',
  manifest: { hosts: ['confidential.example.com'] },
  skill_files: [{ path: 'confidential.md', content: 'THE CONFIDENTIAL FILE' }],
  runtime: { command: 'python3 confidential.py' },
  loop: { confidential: true },
  environment: { pip_flags: '--confidential' },
  model_tasks: { confidential: 'gpt-4o' },
  source_url: 'https://example.com/confidential',
  pip_package: 'confidential',
  run_command: 'confidential',
};

test('only what is public is there, and of what may not be downloaded only what it is for', async () => {
  const offered = { name: 'reader', description: 'Reads.', tags: ['pdf'], ...secret };
  const { agent } = await agents.publish({ ...offered, input_schema: { type: 'object' } });
  const path = `/public/agents/${org}/reader`;
  for (const version of ['v1', 'latest', 'v9']) expectError(await anybody(`${path}/${version}`), 'NOT_FOUND', 404);
  expect(await listed('')).toEqual([]);
  await agents.patch(`/agents/${agent.id}`, { is_public: true });
  const answer = await anybody(`${path}/v1`);
  expect(answer.headers.get('cache-control')).toBe('public, max-age=60');
  const shown = { org_slug: org, name: 'reader', version: 'v1', tags: ['pdf'], input_schema: { type: 'object' } };
  expect(answer.body).toMatchObject({ ...shown, execution_engine: 'code_runtime', prompt: null, manifest: null });
  const hidden = { skill_files: null, runtime: null, source_url: null, entrypoint: null };
  expect(answer.body).toMatchObject(hidden);
  expect(JSON.stringify(answer.body)).not.toMatch(/confidential/i);
  expect(JSON.stringify(answer.body)).not.toContain(agent.agent_id);
  expect(JSON.stringify(await listed(''))).not.toMatch(/confidential/i);
  expectError(await anybody(`${path}/v1/download`), 'DOWNLOAD_DISABLED', 403);

  await agents.patch(`/agents/${agent.id}`, { allow_local_download: true });
  expect((await anybody(`${path}/latest`)).body).toMatchObject({ prompt: secret.prompt, runtime: secret.runtime });
  const { body: download } = await anybody(`${path}/latest/download`);
  expect(download).toMatchObject({ ...shown, prompt: secret.prompt, has_bundle: false, dependencies: [] });
  await agents.patch(`/agents/${agent.id}`, { price_cents: 1 });
  expectError(await anybody(`${path}/v1/download`), 'PAID_AGENT_SERVER_ONLY', 403);
  expect(JSON.stringify((await anybody(`${path}/v1`)).body)).not.toMatch(/confidential/i);
});

test('the list has each agent once, and is searched, narrowed and sorted', async () => {
  await agents.publish({ name: 'beta', is_public: true, tags: ['a', 'b'], description: '100%_sure' });
  await agents.publish({ name: 'beta', is_public: true, tags: ['a', 'b'], description: '100%_sure' });
  await agents.publish({ name: 'beta', tags: ['private'] });
  await agents.publish({ name: 'alpha', is_public: true, type: 'skill', tags: ['a'] });
  const names = async (query: string) => (await listed(query)).map(({ name, version }) => `${name} ${version}`);
  expect(await names('')).toEqual(['alpha v1', 'beta v2']);
  expect(await names('&sort=name')).toEqual(['alpha v1', 'beta v2']);
  expect(await names('&sort=stars')).toEqual(['alpha v1', 'beta v2']);
  expect(await names('&tags=a,b')).toEqual(['beta v2']);
  expect(await names('&type=skill')).toEqual(['alpha v1']);
  expect(await names('&limit=1&offset=1')).toEqual(['beta v2']);
  const search = async (text: string) => {
    const { body } = await anybody(`/public/agents?search=${encodeURIComponent(text)}`);
    return body.filter((one: any) => one.org_slug === org).map(({ name }: any) => name);
  };
  expect(await search('100%_SURE')).toEqual(['beta']);
  expect(await search('1000_sure')).toEqual([]);
  for (const query of [
    'limit=0',
    'limit=101',
    'offset=10001',
    'sort=best',
    'type=x',
    `search=${'x'.repeat(201)}`,
    'a=b',
  ]) {
    expectError(await anybody(`/public/agents?${query}`), 'INVALID_INPUT', 400);
  }
  const seen = (await anybody(`/public/agents/${org}/BETA/latest`)).body;
  expect(seen).toMatchObject({ version: 'v2' });
  await orchflow.db
    .updateTable('accounts')
    .set({ suspended_at: sql`now()` })
    .where('slug', '=', org)
    .execute();
  expect(await names('')).toEqual([]);
  expectError(await anybody(`/public/agents/${org}/beta/v2`), 'NOT_FOUND', 404);
});

test('a version that was deprecated is the last to be meant, and goes after sixty days, naming its successor', async () => {
  const { agent: first } = await agents.publish({ name: 'reader', is_public: true });
  const { agent: second } = await agents.publish({ name: 'reader', is_public: true });
  const path = `/public/agents/${org}/reader`;
  await agents.patch(`/agents/${second.id}`, { deprecated: true });
  expect((await anybody(`${path}/latest`)).body).toMatchObject({ version: 'v1' });
  expect((await anybody(`${path}/v2`)).body).toMatchObject({ deprecated: true, sunset_at: expect.any(String) });
  await agents.patch(`/agents/${first.id}`, { deprecated: true });
  expect((await anybody(`${path}/latest`)).body).toMatchObject({ version: 'v2' });
  const long = sql<string>`now() - interval '61 days'`;
  await orchflow.db
    .updateTable('agent_versions')
    .set({ deprecated_at: long })
    .where('version_id', '=', first.id)
    .execute();
  const { message } = expectError(await anybody(`${path}/v1`), 'NOT_FOUND', 404);
  expect(message).toContain(`${org}/reader/v2`);
  expect((await agents.get(`/agents/${first.id}`)).status).toBe(200);
});

test('others fork what may be downloaded: its code and its words, without what is of its author', async () => {
  const { agent } = await agents.publish({ name: 'reader', is_public: true, tools: ['run_javascript'], ...secret });
  const hash = 'a'.repeat(64);
  const code = { code_hash: hash, bundle_size_bytes: 9, entrypoint: 'main.py' };
  await orchflow.db.updateTable('agent_versions').set(code).where('version_id', '=', agent.id).execute();
  const stranger = createAgents(orchflow.url, await orchflow.register());
  const path = `/agents/${agent.id}/fork`;
  expectError(await stranger.post(path), 'DOWNLOAD_DISABLED', 403);
  await agents.patch(`/agents/${agent.id}`, { allow_local_download: true });
  const { body } = await stranger.post(path, { new_name: 'mine' });
  expect(body.agent).toMatchObject({ name: 'mine', version: 'v1', prompt: secret.prompt, is_public: false, ...code });
  expect(body.agent).toMatchObject({ org_slug: await stranger.slug(), tools: [] });
  expect(body.service_key_prefix).toBe(body.service_key.slice(0, 7));
  expectError(await stranger.post(path, { new_name: 'mine' }), 'CONFLICT', 409);
  expectError(await agents.post(path), 'CONFLICT', 409);
  await agents.patch(`/agents/${agent.id}`, { is_public: false });
  expectError(await stranger.post(path, { new_name: 'other' }), 'NOT_FOUND', 404);
  expect((await agents.post(path, { new_name: 'own' })).body.agent.tools).toHaveLength(1);
});

test('the tree of dependencies has what is seen of it, and no circle', async () => {
  const depend = (id: string) => ({ manifest: { dependencies: [{ id: `${org}/${id}`, version: 'latest' }] } });
  await agents.publish({ name: 'a', is_public: true, ...depend('b') });
  await agents.publish({ name: 'b', ...depend('a') });
  const a = `${org}/a`;
  const circle = { agent: a, version: 'latest', status: 'cycle', dependencies: [] };
  const b = { agent: `${org}/b`, version: 'v1', status: 'found', dependencies: [circle] };
  const own = await agents.get(`/agents/${a}/latest/tree`);
  expect(own.body).toEqual({ agent: a, version: 'v1', status: 'found', dependencies: [b] });
  const stranger = createAgents(orchflow.url, await orchflow.register());
  const unknown = { agent: `${org}/b`, version: 'latest', status: 'not_found', dependencies: [] };
  expect((await stranger.get(`/agents/${a}/v1/tree`)).body.dependencies).toEqual([unknown]);
  expectError(await stranger.get(`/agents/${org}/b/v1/tree`), 'NOT_FOUND', 404);
  expect((await stranger.post(`/agents/${a}/v1/install`)).body).toEqual({ installed: true, agent: a, version: 'v1' });
});

test('skill packages are resolved: own ones and public ones, once each, and the others named', async () => {
  await agents.publish({
    name: 'style',
    type: 'skill',
    prompt: 'Be brief.',
    skill_files: [{ path: 'a.md', content: 'A' }],
  });
  await agents.publish({ name: 'tone', type: 'skill', prompt: 'Be kind.', is_public: true });
  await agents.publish({ name: 'reader', is_public: true });
  const own = await orchflow.db
    .selectFrom('accounts')
    .select('account_id')
    .where('slug', '=', org)
    .executeTakeFirstOrThrow();
  const [style, tone] = [`${org}/style@v1`, `${org}/tone`];
  expect(await resolveSkills(orchflow, own, [tone, style, tone])).toEqual([
    { ref: tone, name: 'tone', prompt: 'Be kind.', files: [], is_closed: false },
    {
      ref: style,
      name: 'style',
      prompt: 'Be brief.',
      files: [{ path: 'a.md', content: 'A', size: 1 }],
      is_closed: false,
    },
  ]);
  const stranger = { account_id: 'acc_nobody' };
  expect(await resolveSkills(orchflow, stranger, [`${tone}@latest`])).toHaveLength(1);
  for (const ref of [style, `${org}/reader@v1`, `${org}/tone@v9`]) {
    await expect(resolveSkills(orchflow, stranger, [tone, ref])).rejects.toThrow(ref);
  }
  await expect(resolveSkills(orchflow, stranger, ['style'])).rejects.toThrow('reference');
});

test('an estimate is what calls have cost, and tells nothing of few', async () => {
  const { agent } = await agents.publish({ name: 'reader', is_public: true });
  const path = `/public/agents/${org}/reader/v1/cost-estimate`;
  const { body: none } = await anybody(path);
  expect(none).toMatchObject({ agent: `${org}/reader@v1`, estimate: { sample_size: 0, avg_cost_usd: null } });
  const caller = await orchflow.register();
  const [owner, other] = await Promise.all(
    [author, caller].map(async ({ email }) =>
      orchflow.db.selectFrom('accounts').select('account_id').where('email', '=', email).executeTakeFirstOrThrow(),
    ),
  );
  const call = async (at: number) => {
    const { run_id } = (await caller.post('/runs', { task: 'Read.', start_in: '1d' })).body;
    const ended = {
      status: at === 4 ? 'failed' : 'completed',
      started_at: sql`now()`,
      completed_at: sql`now() + interval '1 s'`,
    };
    await orchflow.db
      .updateTable('runs')
      .set(ended as object)
      .where('run_id', '=', run_id)
      .execute();
    const said = {
      agent: `${org}/reader`,
      version: 'v1',
      endpoint: 'run',
      fingerprint: '',
      chain: [],
      key_id: 'key_x',
    };
    const whose = { account_id: other!.account_id, owner_id: owner!.account_id, version_id: agent.id };
    await orchflow.db
      .insertInto('agent_calls')
      .values({ run_id, root_run_id: run_id, ...said, ...whose })
      .execute();
    await sql`
      insert into llm_calls (call_id, run_id, account_id, purpose, vendor, model, finish, input_tokens, output_tokens, cost_usd)
      values (${`${run_id}.x`}, ${run_id}, ${other!.account_id}, 'execute', 'openai', 'gpt-4o', 'stop', 100, 10, ${at + 1})`.execute(
      orchflow.db,
    );
  };
  for (const at of [0, 1, 2, 3]) await call(at);
  expect((await anybody(path)).body.estimate).toEqual(none.estimate);
  await call(4);
  expect((await anybody(path)).body.estimate).toEqual({
    sample_size: 5,
    avg_cost_usd: 3,
    p50_cost_usd: 3,
    p95_cost_usd: 4.8,
    avg_input_tokens: 100,
    avg_output_tokens: 10,
    avg_duration_ms: 1_000,
    success_rate: 0.8,
    period_days: 30,
    provider_breakdown: [{ provider: 'openai', model: 'gpt-4o', runs: 5, total_cost_usd: 15, avg_cost_usd: 3 }],
  });
  expect((await agents.get(`/agents/${agent.id}/delete-check`)).body).toMatchObject({
    requires_confirmation: true,
    stars_count: 1,
  });
  expect((await listed('&sort=stars'))[0].stars_count).toBe(1);
});

test('no account can have the first segment of a path of ours as its slug', async () => {
  const segments = orchflow.app.routes
    .map(({ path }) => path.split('/')[1]!)
    .filter((one) => /^[a-z0-9][a-z0-9-]*$/.test(one));
  expect(segments).toEqual(expect.arrayContaining(['api', 'v1', 'agents', 'public', 'docs', 'health']));
  expect(segments.filter((segment) => !reservedSlugs.has(segment))).toEqual([]);
  const letters = () => 'x1';
  expect(slugsFor('Acme, Inc.', letters)).toEqual(['acme-inc', 'acme-inc-x1', 'acme-inc-x1']);
  expect(slugsFor('API', letters)).toEqual(['api-x1', 'api-x1']);
  expect(slugsFor('Ünïcode', letters)[0]).toBe('unicode');
  expect(slugsFor('株式会社', letters)).toEqual(['org-x1', 'org-x1']);
  expect(slugsFor('x'.repeat(200), letters)[0]).toHaveLength(48);
});

test('an address asks so often for what needs no key', async () => {
  const limited = await startOrchflow({ worker: false, environment: { PUBLIC_LIMIT_PER_MINUTE: '2' } });
  try {
    for (const status of [200, 200]) expect((await send(limited.url, 'GET', '/public/agents')).status).toBe(status);
    const refused = await send(limited.url, 'GET', '/public/agents');
    expectError(refused, 'RATE_LIMITED', 429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  } finally {
    await limited.stop();
  }
});
