import { connect } from 'node:net';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { createCaller, publish } from '../harness/calls.ts';
import { startOrchflow, until, type Orchflow, type User } from '../harness/orchflow.ts';
import { expectFault } from '../harness/problem.ts';
import { send } from '../harness/raw.ts';

let orchflow: Orchflow;
let user: User;
const environment = {
  HTTP_HEADERS_TIMEOUT_SECONDS: '0.2',
  HTTP_REQUEST_TIMEOUT_SECONDS: '0.4',
  HTTP_KEEP_ALIVE_SECONDS: '0.2',
};

beforeAll(async () => {
  orchflow = await startOrchflow({ worker: false, environment });
  user = await orchflow.register();
});
afterAll(() => orchflow.stop());

describe('deep JSON', () => {
  const post = (body: string) =>
    send(orchflow.url, 'POST', '/api/v1/runs', { 'x-api-key': user.api_key, 'content-type': 'application/json' }, body);
  const nested = (levels: number) => `{"task": "x", "agents": ${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`;

  test('is refused by its depth, before it is parsed', async () => {
    const answer = await post(nested(33));
    expectFault(answer, '');
    expect(answer.body.detail).toBe('body: must not nest deeper than 32 levels');
    expectFault(await post('['.repeat(1_000_000)), '');
    expectFault(await post(`{"task": ${'{"a":'.repeat(150_000)}`), '');
    expect((await post(nested(32))).body.detail).not.toContain('nest');
  });

  test('is no matter of brackets in texts', async () => {
    const task = `${'['.repeat(50)} "quoted \\ ${'{'.repeat(50)}`;
    const answer = await post(JSON.stringify({ task }));
    expect(answer.status).toBe(201);
    expect((await user.get(`/runs/${answer.body.run_id}`)).body.task).toBe(task);
  });

  test('is refused to those without an account too', async () => {
    const headers = { 'content-type': 'application/json' };
    const answer = await send(orchflow.url, 'POST', '/api/v1/auth/register', headers, nested(40));
    expect(answer.body.detail).toBe('body: must not nest deeper than 32 levels');
  });
});

test('JSON of many values is refused by their number, and no indents are made of what nests deep', async () => {
  const call = createCaller(orchflow.url, user);
  await publish(orchflow, user, 'hostile-1', { name: 'reader' });
  const path = '/hostile-1/reader/v1/run';
  const zeros = (count: number, levels = 1) =>
    `{"task": "x", "a": ${'['.repeat(levels)}0${', 0'.repeat(count - 1)}${']'.repeat(levels)}}`;
  const detail = 'body: must have at most 100000 values';
  const many = await user.post('/runs', JSON.parse(zeros(99_998)));
  expectFault(many, '');
  expect(many.body.detail).toBe(detail);
  expect((await user.post('/runs', JSON.parse(zeros(99_997)))).body.detail).not.toContain('values');
  const form = new FormData();
  form.append('metadata', zeros(99_968, 31));
  for (const body of [zeros(120_000), form]) {
    const refused = await call.post(path, body, typeof body === 'string' ? { 'content-type': 'application/json' } : {});
    expect([refused.status, refused.body.error.errors[0].detail]).toEqual([400, 'must have at most 100000 values']);
  }

  const left = new AbortController();
  const answer = call.open(path, JSON.parse(zeros(90_000, 30)), { signal: left.signal }).catch(() => {});
  const { db } = orchflow;
  const kept = async () =>
    (await db.selectFrom('texts').select('text').where('text_id', 'like', '%input%').execute())[0];
  await until(async () => (await kept()) !== undefined, 'it is accepted');
  left.abort();
  await answer;
  expect((await kept())!.text.length).toBeLessThan(200_000);
});

/** Sends this and nothing more. Resolves, once the server has hung up, with what it said. */
function dribble(text: string): Promise<string> {
  const { port } = new URL(orchflow.url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), '127.0.0.1', () => socket.write(text));
    let said = '';
    socket.on('data', (chunk: Buffer) => (said += chunk.toString()));
    socket.on('error', reject);
    socket.on('close', () => resolve(said));
  });
}

test('thirty requests that are sent at once on one connection are answered, and Node warns of no leak', async () => {
  const warnings: string[] = [];
  const warned = ({ name }: Error) => void warnings.push(name);
  process.on('warning', warned);
  onTestFinished(() => void process.off('warning', warned));
  const said = await dribble(`GET /api/v1/runs HTTP/1.1\r\nHost: x\r\nX-API-Key: ${user.api_key}\r\n\r\n`.repeat(30));
  expect(said.match(/HTTP\/1\.1 200 /g)).toHaveLength(30);
  expect(warnings).toEqual([]);
});

describe('slow clients are cut', () => {
  test('when their headers do not come', async () => {
    expect(await dribble('GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ')).toMatch(/^HTTP\/1\.1 408 /);
  });

  test('when their body does not come, and nothing is half-done', async () => {
    const said = await dribble(
      `POST /api/v1/runs HTTP/1.1\r\nHost: x\r\nX-API-Key: ${user.api_key}\r\nContent-Type: application/json\r\n` +
        'Content-Length: 100\r\nIdempotency-Key: slow\r\n\r\n{"task": "Sl',
    );
    expect(said).toMatch(/^HTTP\/1\.1 408 /);
    const { rows } = await sql`select from runs where task like 'Sl%'`.execute(orchflow.db);
    expect(rows).toEqual([]);
  });

  test('when they only hold a connection', async () => {
    const said = await dribble('GET /api/v1/agents/templates HTTP/1.1\r\nHost: x\r\n\r\n');
    expect(said).toMatch(/^HTTP\/1\.1 200 /);
  });

  test('when their headers have no end', async () => {
    expect(await dribble(`GET /health HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(20_000)}`)).toMatch(
      /^HTTP\/1\.1 431 /,
    );
  });
});

describe('what Postgres cannot store is refused where it stands', () => {
  const task = 'Compare three note apps.';
  const state = (value: unknown) => ({
    name: 'A',
    entry_step_id: 'a',
    steps: [{ id: 'a', name: 'A', type: 'llm' }],
    state_schema: { a: { default: value } },
  });
  const resumed = '/orchestrations/runs/run_x/resume';

  test.for<[what: string, path: string, body: (bad: string) => object, pointer: string]>([
    ['a default of the state', '/orchestrations', (bad) => state(bad), '/state_schema/a/default'],
    [
      'a text deep in a default',
      '/orchestrations',
      (bad) => state([{ b: ['', bad] }]),
      '/state_schema/a/default/0/b/1',
    ],
    ['a name in a default', '/orchestrations', (bad) => state({ b: { [bad]: 1 } }), '/state_schema/a/default/b/BAD'],
    [
      'a key of the state',
      '/orchestrations',
      (bad) => ({ ...state(1), state_schema: { [bad]: {} } }),
      '/state_schema/BAD',
    ],
    [
      'a label of a route',
      '/orchestrations',
      (bad) => ({ ...state(1), steps: [{ id: 'a', name: 'A', type: 'evaluator', route_map: { [bad]: null } }] }),
      '/steps/0/route_map/BAD',
    ],
    [
      'a case of a switch',
      '/orchestrations',
      (bad) => ({
        ...state(1),
        steps: [{ id: 'a', name: 'A', type: 'switch', switch_expression: '1', switch_cases: { [bad]: null } }],
      }),
      '/steps/0/switch_cases/BAD',
    ],
    ['an answer', resumed, (bad) => ({ response: bad }), '/response'],
    ['a field of an answer', resumed, (bad) => ({ response: { notes: bad } }), '/response/notes'],
    ['a text deep in an answer', `${resumed}/stream`, (bad) => ({ response: { a: [{ b: bad }] } }), '/response/a/0/b'],
    ['a name in an answer', resumed, (bad) => ({ response: { [bad]: 'x' } }), '/response/BAD'],
    ['the step of an answer', resumed, (bad) => ({ response: 'x', step_id: bad }), '/step_id'],
    ['the gate of an answer', resumed, (bad) => ({ response: 'x', gate_id: bad }), '/gate_id'],
    ['the gate of a task', '/runs/run_x/tasks/T1/complete', (bad) => ({ output: 'x', gate_id: bad }), '/gate_id'],
    ['an edit', '/runs/run_x/rerun', (bad) => ({ from_task: 'T1', edits: { T1: bad } }), '/edits/T1'],
    ['the task of an edit', '/runs/run_x/rerun', (bad) => ({ from_task: 'T1', edits: { [bad]: 'x' } }), '/edits/BAD'],
    ['the task of a rerun', '/runs/run_x/rerun', (bad) => ({ from_task: bad }), '/from_task'],
    ['the name of an agent', '/runs', (bad) => ({ task, agents: [{ name: bad }] }), '/agents/0/name'],
    ['a tool', '/runs', (bad) => ({ task, agents: [{ name: 'a', tools: [bad] }] }), '/agents/0/tools/0'],
    ['a gate', '/runs', (bad) => ({ task, human_gates: [{ name: bad }] }), '/human_gates/0/name'],
    ['a model', '/providers', (bad) => ({ provider: 'openai', api_key: 'sk-canary', model: bad }), '/model'],
    [
      'a header',
      '/tools/mcp',
      (bad) => ({ name: 'a', url: 'https://a.example', headers: { [bad]: 'x' } }),
      '/headers/BAD',
    ],
    ['an argument', '/tools/mcp', (bad) => ({ name: 'a', command: 'a', args: [bad] }), '/args/0'],
  ])('%s', async ([, path, body, pointer]) => {
    for (const bad of ['a\u0000b', 'a\ud800b', '\udc00']) {
      expectFault(await user.post(path, body(bad)), pointer.replace('BAD', bad.toWellFormed()));
    }
  });

  test('in a path or a query it leads to nothing', async () => {
    expect((await user.get('/runs/a%00b')).status).toBe(404);
    for (const query of ['status=%00', 'cursor=%00', 'limit=%00'])
      expect((await user.get(`/runs?${query}`)).status).toBe(422);
    for (const query of ['run_id=%00', 'status=%00']) {
      expect((await user.get(`/webhooks/deliveries?${query}`)).status).toBe(422);
    }
    expect((await user.get('/orchestrations/runs?orchestration_id=%00')).status).toBe(422);
    const key = { 'x-api-key': user.api_key };
    const open = await send(orchflow.url, 'GET', '/public/agents?tags=a,%00b');
    expect([open.status, open.body.error.errors]).toEqual([
      400,
      [{ pointer: '/tags', detail: 'must be Unicode text without NUL' }],
    ]);
    for (const path of ['/acme/a%00b/v1/run', '/acme/a/v%001/run', '/acme/a/v1/r%00n']) {
      const { status, body } = await send(orchflow.url, 'POST', path, key);
      expect([status, body.error.code], path).toEqual([404, 'NOT_FOUND']);
    }
    expect((await send(orchflow.url, 'GET', '/agents/preview?name=a%00b', key)).status).toBe(400);
  });

  test('a number in a header that is too large for it is refused, and told how large it may be', async () => {
    await publish(orchflow, user, 'hostile-2', {
      name: 'careful',
      tools: [{ name: 'http_request', require_approval: true }],
    });
    const call = createCaller(orchflow.url, user);
    for (const [name, value, most] of [
      ['Max-Hops', '2147483648', 1_000],
      ['Deadline-Ms', '300000000000000', 253_402_300_799_999],
      ['Downstream-Remaining', '999999999999999', 1_000_000_000],
    ] as const) {
      const { status, body } = await call.post('/hostile-2/careful/v1/run', {}, { [`x-orchagent-${name}`]: value });
      const detail = `must be a whole number from ${name === 'Max-Hops' ? -1 : 0} to ${most}`;
      expect([status, body.error?.errors]).toEqual([400, [{ pointer: `/X-Orchagent-${name}`, detail }]]);
    }
  });
});

describe('names', () => {
  const line = 'must be one line, without control characters';
  test.for<[path: string, body: (name: string) => object, pointer: string]>([
    ['/providers', (model) => ({ provider: 'openai', api_key: 'sk-canary', model }), '/model'],
    ['/providers', (label) => ({ provider: 'openai', api_key: 'sk-canary', label }), '/label'],
    ['/runs', (name) => ({ task: 'x', agents: [{ name }] }), '/agents/0/name'],
    ['/runs', (model) => ({ task: 'x', agents: [{ name: 'a', model }] }), '/agents/0/model'],
    ['/auth/register', (name) => ({ name, email: 'names@example.com' }), '/name'],
  ])('%s takes a line that is not blank', async ([path, body, pointer]) => {
    for (const [name, detail] of [
      ['', 'must not be empty'],
      [' ', 'must not be empty'],
      ['gpt-4o\n', line],
      ['a\u001b[31m', line],
      ['a\u0085b', line],
    ] as const) {
      expect((await user.post(path, body(name))).body.errors).toEqual([{ pointer, detail }]);
    }
  });
});

describe('idempotency keys', () => {
  const create = () =>
    send(
      orchflow.url,
      'POST',
      '/api/v1/runs',
      { 'x-api-key': user.api_key, 'content-type': 'application/json', 'idempotency-key': 'daily' },
      '{"task": "Write the daily report."}',
    );
  const age = (hours: number) =>
    sql`update idempotency_keys set created_at = created_at - make_interval(hours => ${hours})`.execute(orchflow.db);

  test('are forgotten after 24 hours: the same request makes another run', async () => {
    const first = await create();
    await age(23);
    expect((await create()).body).toEqual(first.body);
    await age(2);
    const next = await create();
    expect(next).toMatchObject({ status: 201, body: { run_id: expect.not.stringMatching(first.body.run_id) } });
    expect((await create()).body).toEqual(next.body);
  });

  test('are deleted in the background when they have expired', async () => {
    await create();
    await age(25);
    const { DATABASE_URL = '' } = orchflow.env;
    const other = await startOrchflow({ worker: false, environment: { DATABASE_URL } });
    const isEmpty = async () => (await sql`select from idempotency_keys`.execute(orchflow.db)).rows.length === 0;
    await until(isEmpty, 'the keys are deleted');
    await other.stop();
  });
});
