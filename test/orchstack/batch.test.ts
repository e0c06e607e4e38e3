import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { sql } from 'kysely';
import { startOrchflow, until, type Answer, type Orchflow, type User } from '../harness/orchflow.ts';
import { createStack, type Stack } from '../harness/orchstack.ts';
import { expectFault, expectProblem } from '../harness/problem.ts';

/** `POST /v1/batch`: many operations in one request, each as if it were asked for by itself. */

const perMinute = 60;
let orchflow: Orchflow;
let user: User;
let v1: Stack;

beforeAll(async () => {
  orchflow = await startOrchflow({
    environment: { RATE_LIMIT_PER_MINUTE: String(perMinute), DATABASE_POOL_SIZE: '20' },
    worker: false,
  });
});
afterAll(() => orchflow.stop());
beforeEach(async () => {
  user = await orchflow.register();
  v1 = createStack(orchflow.url, user);
});

type Operation = { method: string; path: string; body?: unknown; idempotency_key?: string; if_match?: string };

const batch = (operations: Operation[], headers?: Record<string, string>) => v1.post('/batch', { operations }, headers);
const statuses = ({ body }: { body: any }) => body.results.map(({ status }: any) => status);

const print = { id: 'print', name: 'Print', type: 'print', print_content: 'Hello' };
const workflow = (workflow_id?: string) => ({ workflow_id, name: 'W', entry_step_id: 'print', steps: [print] });
const create = (workflow_id?: string): Operation => ({
  method: 'POST',
  path: '/v1/workflows',
  body: workflow(workflow_id),
});
const ids = async () => (await v1.get('/workflows?limit=100')).body.workflows.map((one: any) => one.workflow_id);

test('every operation is answered as by itself, in its place; one that fails stops no other', async () => {
  const answer = await batch([
    create('first'),
    create('first'),
    { method: 'POST', path: '/v1/workflows', body: { name: '' } },
    { method: 'GET', path: '/v1/workflows/first' },
    { method: 'PATCH', path: '/v1/workflows/first', body: { name: 'New' } },
    { method: 'PATCH', path: '/v1/workflows/first', body: { name: 'Lost' }, if_match: '"old"' },
    { method: 'GET', path: '/v1/workflows?limit=1&fields=name' },
    { method: 'GET', path: '/v1/workflows?page=2' },
    { method: 'DELETE', path: '/v1/workflows/first', body: null },
    { method: 'GET', path: '/v1/workflows/first' },
    { method: 'GET', path: '/v1/nothing' },
    { method: 'PATCH', path: '/v1/workflows' },
  ]);
  expect(answer.status).toBe(200);
  expect(statuses(answer)).toEqual([201, 409, 422, 200, 200, 412, 200, 422, 200, 404, 404, 405]);
  const { results } = answer.body;
  const [made, exists, invalid, read, changed] = results;
  expect(made.headers).toEqual({ location: '/v1/workflows/first', etag: expect.stringMatching(/^".+"$/) });
  expect(made.body).toMatchObject({ workflow_id: 'first', name: 'W' });
  expect(exists.body).toMatchObject({
    code: 'ORCHESTRATION_EXISTS',
    detail: expect.stringContaining('a workflow "first"'),
  });
  expect(exists.body.request_id).toBe(`${answer.headers.get('x-request-id')}.1`);
  expect(invalid.body.errors.map(({ pointer }: any) => pointer)).toContain('/name');
  expect(read).toMatchObject({ body: made.body, headers: { etag: made.headers.etag } });
  expect(changed.body).toMatchObject({ name: 'New' });
  expect(results[6].body.workflows).toEqual([{ workflow_id: 'first', name: 'New' }]);
  for (const { body_omitted } of results) expect(body_omitted).toBe(false);
});

test('what is no operation of a batch is refused at the door, with its place, and nothing is done', async () => {
  const get = (path: string) => ({ method: 'GET', path });
  for (const [operation, at] of [
    [get('/api/v1/keys'), 'path'],
    [get('/v1/../api/v1/keys'), 'path'],
    [get('/v1/%2e%2e/api/v1/keys'), 'path'],
    [get('//elsewhere.example/v1/'), 'path'],
    [get('http://elsewhere.example/v1/'), 'path'],
    [get('/v1'), 'path'],
    [get('/v1/workflows#x'), 'path'],
    [{ method: 'POST', path: '/v1/knowledge/kb_1/upload' }, 'path'],
    [{ method: 'PUT', path: '/v1/workflows' }, 'method'],
    [{ method: 'GET', path: '/v1/workflows', body: {} }, 'body'],
    [{ method: 'POST', path: '/v1/agents/agt_1/run', body: { input: 'x', stream: true } }, 'body/stream'],
    [{ method: 'DELETE', path: '/v1/workflows/x', idempotency_key: 'k' }, 'idempotency_key'],
    [{ method: 'POST', path: '/v1/workflows', idempotency_key: 'k k' }, 'idempotency_key'],
    [{ method: 'POST', path: '/v1/workflows', headers: {} }, 'headers'],
  ] as const) {
    expectFault(await batch([create(), operation as Operation]), `/operations/1/${at}`);
  }
  expectFault(await batch([]), '/operations');
  expectFault(await batch(Array.from({ length: 101 }, () => get('/v1/workflows'))), '/operations');
  expectFault(await v1.post('/batch', {}), '/operations');
  expect(await ids()).toEqual([]);
});

test('there is no batch in a batch, however its path is written', async () => {
  const inner = { operations: [create()] };
  const paths = ['/v1/batch', '/v1/batch/', '/v1/b%61tch', '/v1/./batch'];
  const answer = await batch(paths.map((path) => ({ method: 'POST', path, body: inner })));
  expect(statuses(answer)).toEqual([404, 404, 404, 404]);
  expect(await ids()).toEqual([]);
});

test('each needs its scope of the key, and the batch its own', async () => {
  const keyWith = async (...scopes: string[]) => {
    const { body } = await user.insist('POST', '/keys', { name: 'Some', scopes });
    return createStack(orchflow.url, body);
  };
  const operations = [
    create('mine'),
    { method: 'GET', path: '/v1/webhooks' },
    { method: 'GET', path: '/v1/workflows' },
  ];
  const some = await keyWith('batch:write', 'orchestrations:read');
  const answer = await some.post('/batch', { operations });
  expect(statuses(answer)).toEqual([403, 403, 200]);
  expect(answer.body.results[0].body).toMatchObject({ code: 'MISSING_SCOPE', scope: 'orchestrations:write' });
  const none = await keyWith('orchestrations:write');
  expectProblem(await none.post('/batch', { operations }), {
    status: 403,
    code: 'MISSING_SCOPE',
    scope: 'batch:write',
  });
});

test('each counts against the rate limit; those that it leaves out are told so', async () => {
  const get = { method: 'GET', path: '/v1/workflows?limit=1' };
  const answer = await batch(Array.from({ length: perMinute + 5 }, () => get));
  expect(answer.status).toBe(200);
  // The batch itself is one.
  expect(statuses(answer).filter((status: number) => status === 200)).toHaveLength(perMinute - 1);
  const refused = answer.body.results.at(-1);
  expect(refused).toMatchObject({ status: 429, body: { code: 'RATE_LIMITED' } });
  expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
});

test('sent again with its Idempotency-Key, nothing is done twice, whatever the method', async () => {
  const key = { 'idempotency-key': 'batch-1' };
  await v1.post('/workflows', workflow('old'));
  const operations = [
    create(),
    { ...create(), idempotency_key: 'own' },
    { method: 'PATCH', path: '/v1/workflows/old', body: { name: 'Once' } },
    { method: 'DELETE', path: '/v1/workflows/old' },
    { method: 'GET', path: '/v1/workflows?fields=name' },
  ];
  const first = await batch(operations, key);
  expect(statuses(first)).toEqual([201, 201, 200, 200, 200]);
  const again = await batch(operations, key);
  expect(statuses(again)).toEqual([201, 201, 200, 200, 200]);
  for (const [index, result] of again.body.results.slice(0, 4).entries()) {
    expect(result.headers).toEqual({ ...first.body.results[index].headers, 'idempotency-replayed': 'true' });
    expect(result.body).toEqual(first.body.results[index].body);
  }
  expect(await ids()).toHaveLength(2);
  const byItself = await v1.post('/workflows', workflow(), { 'idempotency-key': 'own' });
  expect(byItself.body).toEqual(first.body.results[1].body);

  expectProblem(await batch([create()], key), { status: 422, code: 'IDEMPOTENCY_KEY_REUSED' });

  // As if the process had died in the middle: the first was done and not answered, the second not begun.
  const { operations: two, key: other } = { operations: [create(), create()], key: { 'idempotency-key': 'batch-2' } };
  const done = await batch(two, other);
  const [kept, lost] = done.body.results.map(({ body }: any) => body.workflow_id);
  await v1.delete(`/workflows/${lost}`);
  await orchflow.db
    .updateTable('idempotency_keys')
    .set({ status: null, answer_encrypted: null, locked_until: sql`now() - interval '1 second'` })
    .where('idempotency_key', 'like', 'batch%')
    .execute();
  const mended = await batch(two, other);
  expect(mended.body.results.map(({ status, body }: any) => [status, body.workflow_id])).toEqual([
    [201, kept],
    [201, lost],
  ]);
  expect(await ids()).toHaveLength(4);
});

test('a DELETE that is sent again purges no run that it was to cancel; one that has purged is answered as it was', async () => {
  const startRun = async () => (await user.startRun({ task: 'Compare three note apps.' })).run_id;
  const [active, ended] = [await startRun(), await startRun()];
  await v1.delete(`/runs/${ended}`);
  const operations = [active, ended].map((run_id) => ({ method: 'DELETE', path: `/v1/runs/${run_id}` }));
  const key = { 'idempotency-key': 'deletes' };
  const states = ({ body }: Answer) => body.results.map(({ body: { status } }: any) => status);
  expect(states(await batch(operations, key))).toEqual(['cancelled', 'purged']);
  expect(states(await batch(operations, key))).toEqual(['cancelled', 'purged']);
  // As if the process had died before it could keep its answers.
  await orchflow.db
    .updateTable('idempotency_keys')
    .set({ status: null, answer_encrypted: null, locked_until: sql`now() - interval '1 second'` })
    .where('account_id', '=', (eb) => eb.selectFrom('runs').select('account_id').where('run_id', '=', active))
    .execute();
  expect(states(await batch(operations, key))).toEqual(['cancelled', 404]);
  expect((await v1.get(`/runs/${active}`)).body.status).toBe('cancelled');
});

test('what was not done is done when the batch is sent again, also where it could not be done before', async () => {
  const key = { 'idempotency-key': 'dependent' };
  const operations = [{ method: 'PATCH', path: '/v1/workflows/later', body: { name: 'New' } }, create('taken')];
  await v1.post('/workflows', workflow('taken'));
  expect(statuses(await batch(operations, key))).toEqual([404, 409]);
  await v1.post('/workflows', workflow('later'));
  await v1.delete('/workflows/taken');
  expect(statuses(await batch(operations, key))).toEqual([200, 201]);
});

test('what is no header makes no failure of the batch', async () => {
  for (const if_match of ['"a\nb"', '"\u4e2d"', '\0'])
    expectFault(
      await batch([create(), { method: 'PATCH', path: '/v1/workflows/x', body: {}, if_match }]),
      '/operations/1/if_match',
    );
});

test('what cannot be done in time is 503 by itself, and is done when the batch is sent again; ten are under way at once', async () => {
  const operations = [create(), create(), { method: 'GET', path: '/v1/webhooks' }];
  const key = { 'idempotency-key': 'late' };
  const { promise: isLocked, resolve: locked } = Promise.withResolvers<void>();
  const { promise: mayGoOn, resolve: goOn } = Promise.withResolvers<void>();
  const holding = orchflow.db.transaction().execute(async (trx) => {
    await sql`lock table orchestrations in access exclusive mode`.execute(trx);
    locked();
    await mayGoOn;
  });
  await isLocked;
  try {
    // Two that are late are longer than an answer may say nothing.
    const headers = { 'x-api-key': user.api_key, 'content-type': 'application/json', ...key };
    const begun = await fetch(`${orchflow.url}/v1/batch`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ operations }),
    });
    // Its answer has begun, and it is at work yet.
    expectProblem(await batch(operations, key), { status: 409, code: 'IDEMPOTENCY_KEY_IN_FLIGHT' });
    const late = { body: (await begun.json()) as any };
    expect(statuses(late)).toEqual([503, 503, 200]);
    expect(late.body.results[0].headers).toEqual({ 'retry-after': '2' });

    let refused: Answer | undefined;
    const others = createStack(orchflow.url, await orchflow.register());
    await until(async () => {
      const many = Array.from({ length: 12 }, () => others.post('/batch', { operations: [create()] }));
      refused = (await Promise.all(many)).find(({ status }) => status !== 200);
      return refused !== undefined;
    }, 'one is refused');
    const detail = 'This account has 10 batches under way here, and may have no more. Try again later.';
    expectProblem(refused!, { status: 429, code: 'LIMIT_REACHED', detail });
  } finally {
    goOn();
    await holding;
  }
  // What was late is done yet, and answered until then that it is at work.
  let again = await batch(operations, key);
  await until(async () => {
    again = await batch(operations, key);
    return !statuses(again).includes(409);
  }, 'it is at work no more');
  expect(statuses(again)).toEqual([201, 201, 200]);
  expect((await batch(operations, key)).body.results[0].body).toEqual(again.body.results[0].body);
});

test('a body that finds no room is left out, and what it is of is done', async () => {
  const long = { ...print, print_content: 'x'.repeat(50_000) };
  const steps = Array.from({ length: 18 }, (_, index) => ({
    ...long,
    id: `s${index}`,
    next_step_id: index < 17 ? `s${index + 1}` : null,
  }));
  await v1.post('/workflows', { workflow_id: 'long', name: 'Long', entry_step_id: 's0', steps });
  const get = { method: 'GET', path: '/v1/workflows/long' };
  const patch = { method: 'PATCH', path: '/v1/workflows/long', body: { name: 'Longer' } };
  const answer = await batch([...Array.from({ length: 9 }, () => get), patch, { method: 'GET', path: '/v1/nothing' }]);
  const { results } = answer.body;
  expect(results.map(({ body_omitted }: any) => body_omitted)).toEqual([...Array(9).fill(false), true, false]);
  expect(results[9]).toMatchObject({ status: 200, body: null, headers: { etag: expect.any(String) } });
  expect((await v1.get('/workflows/long')).body.name).toBe('Longer');
});
