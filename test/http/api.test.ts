import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startOrchflow, type Orchflow, type User } from '../harness/orchflow.ts';
import { expectFault, expectProblem } from '../harness/problem.ts';
import { send } from '../harness/raw.ts';
import { filePart, formOf } from '../harness/upload.ts';
import { countRows } from '../harness/rows.ts';

/** What holds for every request: the form of bodies, errors and ids; and the answers that need no run to work. */

let orchflow: Orchflow;
let user: User;

beforeAll(async () => {
  orchflow = await startOrchflow({ worker: false });
});
afterAll(() => orchflow.stop());
beforeEach(async () => {
  user = await orchflow.register();
});

describe('requests', () => {
  const json = 'application/json';
  const goal = JSON.stringify({ task: 'Compare three note apps.' });

  test('a body that is not said to be JSON is refused', async () => {
    const before = await countRows(orchflow.db);
    const types = [undefined, 'text/plain', 'application/x-www-form-urlencoded', 'application/jsonx', 'text/json'];
    for (const type of types) {
      const headers = { 'x-api-key': user.api_key, ...(type && { 'content-type': type }) };
      const body = new Blob([goal], { type: '' });
      expectProblem(await send(orchflow.url, 'POST', '/api/v1/runs', headers, body), {
        status: 415,
        code: 'UNSUPPORTED_MEDIA_TYPE',
      });
    }
    expect(await countRows(orchflow.db)).toEqual(before);
  });

  test('JSON with a charset, or under a name of its own, is taken', async () => {
    for (const type of ['application/json; charset=utf-8', 'Application/JSON', 'application/vnd.api+json']) {
      const answer = await send(
        orchflow.url,
        'POST',
        '/api/v1/runs',
        { 'x-api-key': user.api_key, 'content-type': type },
        goal,
      );
      expect(answer.status, type).toBe(201);
    }
  });

  test('a body over 1 MiB is refused, with and without a content length', async () => {
    const before = await countRows(orchflow.db);
    const headers = { 'x-api-key': user.api_key, 'content-type': json };
    const large = JSON.stringify({ task: 'x', padding: 'x'.repeat(1024 * 1024) });
    for (const body of [large, new Blob([large]).stream()]) {
      expectProblem(await send(orchflow.url, 'POST', '/api/v1/runs', headers, body), {
        status: 413,
        code: 'BODY_TOO_LARGE',
      });
    }
    expect(await countRows(orchflow.db)).toEqual(before);
  });

  test('a body just under 1 MiB is read, and judged by its fields', async () => {
    const padding = 'x'.repeat(1024 * 1024 - 100);
    expectFault(await user.post('/runs', { task: 'x', padding }), '/padding');
  });

  test('the longest task, and as many agents, gates and questions as may be, are taken', async () => {
    const twenty = Array.from({ length: 20 }, (_, index) => `item ${index}`);
    const largest = { task: 'x'.repeat(20_000), human_gates: twenty, ask_me_about: twenty };
    const run = await user.startRun({ ...largest, agents: twenty.map((name) => ({ name })) });
    const kept = await run.get();
    expect(kept).toMatchObject(largest);
    expect(kept.agents.map(({ name }) => name)).toEqual(twenty);
  });

  test('a request id that is given comes back, in the header and in errors; a strange one is replaced', async () => {
    const given = await send(orchflow.url, 'GET', '/api/v1/runs', { 'x-request-id': 'my-trace.42' });
    expect(given.headers.get('x-request-id')).toBe('my-trace.42');
    expect(given.body.request_id).toBe('my-trace.42');
    for (const strange of ['two words', 'x'.repeat(101), '<script>']) {
      expect(
        (await send(orchflow.url, 'GET', '/health', { 'x-request-id': strange })).headers.get('x-request-id'),
      ).toMatch(/^req_/);
    }
    const ids = await Promise.all([user.get('/runs'), user.get('/runs')]);
    expect(ids[0]!.headers.get('x-request-id')).not.toBe(ids[1]!.headers.get('x-request-id'));
  });

  test('a method that a path does not take is a 405 that says which ones it takes', async () => {
    for (const [method, path, allow] of [
      ['PATCH', '/api/v1/runs', 'POST, GET, HEAD'],
      ['PUT', '/api/v1/runs/unknown', 'GET, HEAD, DELETE, PATCH'],
      ['GET', '/api/v1/auth/register', 'POST'],
      ['DELETE', '/health', 'GET, HEAD'],
    ] as const) {
      const answer = await send(orchflow.url, method, path, { 'x-api-key': user.api_key });
      expectProblem(answer, { status: 405, code: 'METHOD_NOT_ALLOWED' });
      expect(answer.headers.get('allow')).toBe(allow);
    }
    const { body, headers } = formOf(filePart('Notes.'));
    const replaced = await send(orchflow.url, 'PUT', '/api/v1/files', { 'x-api-key': user.api_key, ...headers }, body);
    expectProblem(replaced, { status: 405, code: 'METHOD_NOT_ALLOWED' });
    expectProblem(await send(orchflow.url, 'PATCH', '/api/v1/runs'), { status: 401, code: 'UNAUTHORIZED' });
    const open = await send(orchflow.url, 'PUT', '/api/v1/auth/register');
    expectProblem(open, { status: 405, code: 'METHOD_NOT_ALLOWED' });
  });

  test.each([
    ['/api/v1/runs/%', 404],
    ['/api/v1/runs/%E0%A4%A', 404],
    ['/api/v1/runs/%00', 404],
    ['/api/v1/runs/%FF/tasks', 404],
    ['/api/v1/orchestrations/%C3%28', 404],
    ['/api/v1/runs/', 404],
    ['//api/v1/runs', 404],
    ['/%ZZ', 404],
    ['/docs/assets/%ZZ', 404],
    ['/problems/%ZZ', 404],
    ['/api/v1/runs?status=%E0%A4%A', 422],
    ['/api/v1/runs?cursor=%', 422],
  ] as const)("%s is nobody's fault but the client's", async (path, status) => {
    const answer = await send(orchflow.url, 'GET', path, { 'x-api-key': user.api_key });
    expect([answer.status, answer.headers.get('content-type')]).toEqual([status, 'application/problem+json']);
  });

  test('an unknown path is a 404 of the same form', async () => {
    expectProblem(await send(orchflow.url, 'GET', '/api/v2/runs'), { status: 404, code: 'NOT_FOUND' });
    expectProblem(await user.get('/nothing'), { status: 404, code: 'NOT_FOUND' });
  });
});

test('POST /runs answers at once, pending, with the way to the run', async () => {
  const { status, headers, body } = await user.post('/runs', { task: 'Compare three note apps.' });
  expect(status).toBe(201);
  expect(body).toEqual({
    run_id: expect.stringMatching(/^run_[0-9a-z]{20}$/),
    status: 'pending',
    message: `Run started. Poll GET /runs/${body.run_id} for status.`,
  });
  expect(headers.get('location')).toBe(`/api/v1/runs/${body.run_id}`);
  const run = await send(orchflow.url, 'GET', headers.get('location')!, { 'x-api-key': user.api_key });
  expect(run.body).toMatchObject({
    run_id: body.run_id,
    status: 'pending',
    phase: 'queued',
    tasks: [],
    final_output: null,
  });
});

test('health says which database and which Temporal answer', async () => {
  const { status, body } = await send(orchflow.url, 'GET', '/health');
  expect(status).toBe(200);
  expect(body).toEqual({
    status: 'ok',
    version: 'test',
    database: { status: 'ok', version: expect.stringMatching(/^\d+\.\d+/) },
    temporal: { status: 'ok', version: expect.stringMatching(/^\d+\.\d+\.\d+/) },
    code: { status: 'unknown', driver: null, languages: [], reason: expect.any(String) },
  });
});

test('the templates are the five documented agents, word for word', async () => {
  const { status, body } = await send(orchflow.url, 'GET', '/api/v1/agents/templates');
  expect(status).toBe(200);
  const prompts = body.templates.map(({ name, system_prompt }: Record<string, string>) => [name, system_prompt]);
  expect(Object.fromEntries(prompts)).toEqual({
    research:
      'You are an expert research analyst. Find relevant facts, statistics, and insights. Structure your output clearly. Cite your reasoning.',
    coding:
      'You are a senior software engineer. Write clean, well-commented, production-ready code. Follow best practices. Include error handling.',
    writer:
      'You are a professional content writer. Write clearly and engagingly for the target audience. Use good structure. Be concise but complete.',
    analyst:
      'You are a senior data analyst. Analyze information objectively. Identify patterns and trends. Provide actionable insights with summary, findings, and recommendations.',
    editor:
      'You are a senior editor. Review critically but constructively. Improve clarity, flow, and impact. Fix inconsistencies. Provide specific, actionable feedback.',
  });
  for (const { use_cases } of body.templates) expect(use_cases.length).toBeGreaterThan(0);
});
