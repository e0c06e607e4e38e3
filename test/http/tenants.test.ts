import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { getAccountOf } from '../../db/runs.ts';
import { runIdOf } from '../../src/ids.ts';
import { startFakeModel, type FakeModel } from '../fakes/model.ts';
import { createCaller } from '../harness/calls.ts';
import { discover, letIn, registerClient } from '../harness/oauth.ts';
import { knowledgeOf } from '../harness/knowledge.ts';
import { startOrchflow, type Orchflow, type TestRun, type User } from '../harness/orchflow.ts';
import { createStack } from '../harness/orchstack.ts';
import { expectProblem } from '../harness/problem.ts';
import { nobodys, posted } from './tenants-requests.ts';
import { createAgents, expectError, inHouseWords, isOrchagent } from '../harness/orchagent.ts';
import { send } from '../harness/raw.ts';
import { filePart, formOf, upload } from '../harness/upload.ts';

/** What belongs to another account looks as if it did not exist, on every route that `/openapi.json` lists. */

let orchflow: Orchflow;
let owner: User;
let stranger: User;
let model: FakeModel;
let run: TestRun;
/** A run of an orchestration, for the routes that are about these. */
let orchestrationRun: string;
/** Of the owner, for every name that a path can have. */
let owned: Record<
  | 'run_id'
  | 'task_id'
  | 'provider_id'
  | 'delivery_id'
  | 'orch_id'
  | 'server_name'
  | 'key_id'
  | 'subscription_id'
  | 'file_id'
  | 'agent_id'
  | 'version'
  | 'person_id'
  | 'gate_id'
  | 'workflow_id'
  | 'webhook_id'
  | 'client_id'
  | 'grant_id'
  | 'knowledge_id'
  | 'document_id'
  | 'version_id'
  | 'org'
  | 'agent'
  | 'endpoint'
  | 'workspace_id'
  | 'trace_id',
  string
>;
/** Of an agent that is published, and is private. */
let published: { id: string; key_id: string };
/** A call of it, by its UUID. */
let called: string;
/** A key that no other surface deletes before. */
let ownedByAgents: string;
/** The same for `/v1`, of what `/api/v1` deletes before: some of them are things that both surfaces show. */
let ownedInStack: Partial<typeof owned>;
/** An orchestration without an id, for the routes that take one. */
let definition: object;

beforeAll(async () => {
  orchflow = await startOrchflow({ environment: { PUBLIC_LIMIT_PER_MINUTE: '0' } });
  [owner, stranger] = await Promise.all([orchflow.register(), orchflow.register()]);
  model = (await startFakeModel()).on(() => 'Found nothing.');
  const provider_id = await owner.addProvider(model);
  run = await owner.startRun({ task: 'Compare three note apps.', ask_me_about: ['the budget'] });
  await run.untilWaiting('T1');
  const shipped = (await owner.get('/orchestrations/orch-research-report')).body;
  definition = { ...shipped, id: undefined };
  for (const id of ['owned', 'flow']) await owner.post('/orchestrations', { ...definition, id });
  orchestrationRun = (await owner.post('/orchestrations/owned/run', { message: 'Note apps' })).body.run_id;
  const { run_id } = run;
  const hook = { url: 'https://example.com/hook', events: ['run.retried'] };
  const { subscription_id } = (await owner.post('/webhooks/subscriptions', hook)).body;
  const { file_id } = (await upload(orchflow.url, owner.api_key, 'Mine.')).body;
  const { key_id } = (await owner.post('/keys', { name: 'Owned', scopes: ['runs:read'] })).body;
  const { agent_id } = (await owner.post('/agents', { name: 'Owned' })).body;
  const { person_id } = (await owner.post('/people', { name: 'Owned' })).body;
  const knowledge = knowledgeOf(orchflow.url, owner);
  const knowledge_id = await knowledge.create();
  const [document] = await knowledge.index(knowledge_id, { content: 'Mine.' });
  const letBy = await registerClient(orchflow.url, stranger);
  await letIn(await discover(orchflow.url, letBy), owner.api_key);
  const { body } = await send(orchflow.url, 'GET', '/v1/oauth/grants', { 'x-api-key': owner.api_key });
  const agents = createAgents(orchflow.url, owner);
  await agents.publish({ name: 'offered' });
  const agent = await agents.publishCode('coded', { allow_local_download: true });
  published = { id: agent.id, key_id: (await agents.post(`/agents/${agent.id}/keys`)).body.id };
  const org = await agents.slug();
  const { headers } = await createCaller(orchflow.url, owner).post(`/${org}/offered/v1/run`, {});
  called = headers.get('x-run-id')!;
  owned = {
    run_id,
    task_id: 'T1',
    provider_id,
    delivery_id: `msg_${run_id}_1`,
    orch_id: 'owned',
    server_name: 'owned',
    key_id,
    subscription_id,
    file_id,
    agent_id,
    version: 'v1',
    person_id,
    knowledge_id,
    document_id: document!.document_id,
    gate_id: `${run_id.replace('run_', 'gate_')}_T1_1`,
    workflow_id: 'flow',
    webhook_id: (await owner.post('/webhooks/subscriptions', hook)).body.subscription_id,
    client_id: (await registerClient(orchflow.url, owner)).client_id,
    grant_id: body.grants[0].grant_id,
    version_id: published.id,
    org,
    agent: 'offered',
    endpoint: 'run',
    workspace_id: (await agents.get('/org')).body.id,
    trace_id: called,
  };
  const other = (await owner.post('/keys', { name: 'Owned too', scopes: ['runs:read'] })).body;
  ownedByAgents = (await owner.post('/keys', { name: 'Owned as well', scopes: ['runs:read'] })).body.key_id;
  ownedInStack = { agent_id: await createStack(orchflow.url, owner).createAgent(), key_id: other.key_id };
  const account_id = (await getAccountOf(orchflow.db, run_id))!;
  const { delivery_id } = owned;
  const delivery = { delivery_id, run_id, account_id, event: 'waiting_human', body: '{}', status: 'failed' } as const;
  await orchflow.db.insertInto('webhook_deliveries').values(delivery).execute();
  const server = { account_id, name: 'owned', url: 'https://mcp.example.com', tools: '[]' };
  await orchflow.db.insertInto('mcp_servers').values(server).execute();
});
afterAll(() => Promise.all([orchflow.stop(), model.close()]));

type Operation = { method: string; path: string; isPublic: boolean };

async function listOperations(): Promise<Operation[]> {
  const { body } = await send(orchflow.url, 'GET', '/openapi.json');
  return Object.entries<Record<string, { security: object[] }>>(body.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, { security }]) => ({
      method: method.toUpperCase(),
      path,
      isPublic: security.length === 0,
    })),
  );
}

const hasId = ({ path }: Operation) => path.includes('{');

/** The path with these ids; fails when the API has ids that this test does not know. */
function fill(path: string, ids: Record<string, string>): string {
  return path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    expect(Object.keys(ids)).toContain(name);
    return ids[name]!;
  });
}

function ownedFor(path: string): typeof owned {
  if (path.startsWith('/v1/')) return { ...owned, ...ownedInStack };
  if (path.startsWith('/agents/')) return { ...owned, key_id: published.key_id };
  if (path.startsWith('/workspaces/')) return { ...owned, run_id: called };
  if (path.startsWith('/api-keys/')) return { ...owned, key_id: ownedByAgents };
  return path.startsWith('/api/v1/orchestrations/runs/') ? { ...owned, run_id: orchestrationRun } : owned;
}

/** Status, headers and bytes, all but the times. */
async function exchange({ method }: Operation, path: string, key?: string) {
  const [, post] = posted.find(([pattern]) => pattern.test(path))!;
  const bodies: Record<string, object> = { POST: post, PUT: definition, PATCH: {} };
  const isCode = path.startsWith('/agents/');
  const form = path.endsWith('/upload')
    ? formOf(filePart('Notes.', 'notes.txt', isCode ? 'file' : 'files'))
    : undefined;
  const type = form?.headers ?? { 'content-type': 'application/json' };
  const response = await fetch(orchflow.url + path, {
    method,
    headers: { ...(key && { 'x-api-key': key }), ...type, 'x-request-id': 'same' },
    body: form?.body ?? (bodies[method] && JSON.stringify(bodies[method])),
  });
  const headers = Object.fromEntries([...response.headers].filter(([name]) => !/^(date|server-timing)$/.test(name)));
  // A stream stays open.
  const isStream = headers['content-type']?.startsWith('text/event-stream');
  const text = isStream ? await response.body!.cancel().then(() => '') : await response.text();
  return { status: response.status, headers, text };
}

/** What the text of an error says, whichever surface has said it. */
function problemIn(text: string): any {
  return inHouseWords({ status: 0, headers: new Headers(), body: JSON.parse(text) }).body;
}

/** The same for every name that a path can have. */
const each = (id: string) => Object.fromEntries(Object.keys(owned).map((name) => [name, id]));

describe('every route with an id', () => {
  test('exists in some number', async () => {
    expect((await listOperations()).filter(hasId).length).toBeGreaterThanOrEqual(5);
  });

  test("answers for another account's id with the very bytes of an unknown one", async () => {
    const before = await run.get();
    for (const operation of (await listOperations()).filter(hasId)) {
      const others = await exchange(operation, fill(operation.path, ownedFor(operation.path)), stranger.api_key);
      expect(others.status, `${operation.method} ${operation.path}`).toBe(404);
      expect(problemIn(others.text)).toMatchObject({ code: 'NOT_FOUND', request_id: 'same' });
      for (const ids of [...nobodys, each('x')]) {
        expect(await exchange(operation, fill(operation.path, ids), stranger.api_key)).toEqual(others);
      }
    }
    expect(await run.get()).toEqual(before);
    expect((await owner.get('/providers')).body.providers).toHaveLength(1);
    expect((await owner.get('/agents')).body.agents).toHaveLength(4);
  });

  test('answers for ids that cannot be, such as a NUL or a path, as for unknown ones', async () => {
    for (const operation of (await listOperations()).filter(hasId)) {
      for (const id of ['%00', '%ED%A0%80', '..%2F..', "'%20or%201=1", 'x'.repeat(65)]) {
        const path = fill(operation.path, each(id));
        const { status, text } = await exchange(operation, path, stranger.api_key);
        expect({ status, code: problemIn(text).code }, `${operation.method} ${path}`).toEqual({
          status: 404,
          code: 'NOT_FOUND',
        });
      }
    }
  });
});

test('every route that is not public needs a key', async () => {
  const operations = (await listOperations()).filter(({ isPublic }) => !isPublic);
  expect(operations.length).toBeGreaterThanOrEqual(9);
  for (const operation of operations) {
    const path = fill(operation.path, owned);
    const answer = await send(orchflow.url, operation.method, path, { 'content-type': 'application/json' });
    if (isOrchagent(operation.path)) expectError(answer, 'UNAUTHORIZED', 401);
    else expectProblem(answer, { status: 401, code: 'UNAUTHORIZED' });
  }
});

test('an unknown task of a run of our own is a 404 too', async () => {
  expectProblem(await run.complete('T99', { output: 'x' }), {
    status: 404,
    code: 'NOT_FOUND',
    detail: 'Task not found.',
  });
});

test('lists show what is ours and nothing else', async () => {
  expect((await stranger.get('/webhooks/deliveries')).body.deliveries).toEqual([]);
  expect((await owner.get('/webhooks/deliveries')).body.deliveries).toMatchObject([{ run_id: run.run_id }]);
  expect((await stranger.get('/runs')).body).toEqual({ runs: [], has_more: false, next_cursor: null });
  expect((await stranger.get('/providers')).body).toEqual({ providers: [] });
  expect((await stranger.get('/orchestrations/runs')).body).toEqual({ runs: [] });
  expect((await stranger.get('/tools/mcp')).body).toEqual({ servers: [] });
  expect((await stranger.get('/webhooks/subscriptions')).body).toEqual({ subscriptions: [] });
  expect((await stranger.get('/inbox')).body).toEqual({ gates: [], has_more: false, next_cursor: null });
  expect((await stranger.get('/people')).body).toEqual({ people: [], has_more: false, next_cursor: null });
  expect((await owner.get('/people')).body.people).toMatchObject([{ person_id: owned.person_id }]);
  for (const list of ['agents', 'runs', 'workflows', 'webhooks']) {
    const { body } = await createStack(orchflow.url, stranger).get(`/${list}`);
    expect(body).toEqual({ [list]: [], has_more: false, next_cursor: null });
  }
  expect((await stranger.get('/files')).body).toEqual({ files: [], has_more: false, next_cursor: null });
  const { files } = (await owner.get('/files')).body;
  expect(files).toMatchObject([{ file_id: expect.any(String) }, { file_id: owned.file_id }]);
  const ofKnowledge = await send(orchflow.url, 'GET', '/v1/knowledge', { 'x-api-key': stranger.api_key });
  expect(ofKnowledge.body).toEqual({ knowledge: [], has_more: false, next_cursor: null });
  const both = [{ run_id: orchestrationRun }, { run_id: run.run_id }];
  expect((await owner.get('/runs')).body.runs).toMatchObject([{ run_id: runIdOf(called) }, ...both]);
  expect((await owner.get('/orchestrations/runs')).body.runs).toMatchObject(both.slice(0, 1));
});

test("another account's cursor leads to our own runs only", async () => {
  for (let index = 0; index < 2; index += 1) await owner.startRun({ task: `Task ${index}.` });
  const { next_cursor } = (await owner.get('/runs?limit=1')).body;
  expect((await stranger.get(`/runs?cursor=${next_cursor}`)).body).toEqual({
    runs: [],
    has_more: false,
    next_cursor: null,
  });
});

test('with the key of the owner the same requests find what they name', async () => {
  // What anybody may see is public, and is asked for before it is deleted.
  const { agent } = owned;
  await createAgents(orchflow.url, owner).publishCode('open', { is_public: true, allow_local_download: true });
  const operations = (await listOperations()).filter(hasId);
  const order = ['GET', 'PUT', 'PATCH', 'POST', 'DELETE'];
  // What is in something else is deleted before that.
  const depth = ({ method, path }: Operation) => (method === 'DELETE' ? path.split('/').length : 0);
  operations.sort((a, b) => order.indexOf(a.method) - order.indexOf(b.method) || depth(b) - depth(a));
  for (const operation of operations) {
    const isPublic = operation.path.startsWith('/public/');
    const path = fill(operation.path, { ...ownedFor(operation.path), agent: isPublic ? 'open' : agent });
    const { status, text } = await exchange(operation, path, owner.api_key);
    // It is there, even when it is too late for this: the requests before, or the demo model, may have ended the run.
    const statuses = /^.agents.*\/(transfer(-check)?|upload)$/.test(path) ? [422] : [200, 201, 409];
    expect(statuses, `${operation.method} ${path}: ${text}`).toContain(status);
  }
});
