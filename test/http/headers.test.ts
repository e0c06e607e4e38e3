import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startOrchflow, type Orchflow, type User } from '../harness/orchflow.ts';

/** Who may keep an answer, and what browsers are told of the host. */

const codec = 'a-token-for-the-codec';
let orchflow: Orchflow;
let user: User;
let run_id: string;
beforeAll(async () => {
  orchflow = await startOrchflow({ worker: false, environment: { CODEC_TOKEN: codec, HSTS_SECONDS: '31536000' } });
  user = await orchflow.register();
  run_id = (await user.startRun({ task: 'Nobody works on it.' })).run_id;
});
afterAll(() => orchflow.stop());

type Request = [method: string, path: string, status: number, body?: object];

function ask([method, path, , body]: Request, headers: Record<string, string> = {}) {
  const sent = { 'x-api-key': user.api_key, ...(body && { 'content-type': 'application/json' }), ...headers };
  return fetch(orchflow.url + path.replace('RUN', run_id), { method, headers: sent, body: JSON.stringify(body) });
}

describe('nobody may keep', () => {
  test.each<Request>([
    ['POST', '/api/v1/auth/register', 201, { name: 'Ada', email: 'ada@headers.example' }],
    ['POST', '/api/v1/webhooks/secret/rotate', 200],
    ['GET', '/api/v1/agents/templates', 200],
    ['GET', '/api/v1/runs', 200],
    ['HEAD', '/api/v1/runs', 200],
    ['GET', '/api/v1/runs/RUN', 200],
    ['GET', '/api/v1/providers', 200],
    ['GET', '/api/v1/orchestrations', 200],
    ['POST', '/api/v1/runs', 201, { task: 'Nobody works on it.' }],
    ['POST', '/api/v1/runs', 422, {}],
    ['GET', '/api/v1/runs/unknown', 404],
    ['GET', '/api/v1/nothing', 404],
    ['PATCH', '/api/v1/runs', 405],
    ['OPTIONS', '/api/v1/runs', 204],
    ['POST', '/codec/decode', 200, { payloads: [] }],
  ])('what %s %s answers with %i', async (...request) => {
    const authorization: Record<string, string> = request[1].startsWith('/codec')
      ? { authorization: `Bearer ${codec}` }
      : {};
    const { status, headers } = await ask(request, authorization);
    expect([status, headers.get('cache-control')]).toEqual([request[2], 'no-store']);
  });

  test('a refusal of a key', async () => {
    const { status, headers } = await ask(['GET', '/api/v1/runs', 401], { 'x-api-key': 'orch_none' });
    expect([status, headers.get('cache-control')]).toEqual([401, 'no-store']);
  });

  test('an answer that is repeated for its Idempotency-Key', async () => {
    const request: Request = ['POST', '/api/v1/webhooks/secret/rotate', 200];
    const answers = [];
    for (let time = 1; time <= 2; time += 1) answers.push(await ask(request, { 'idempotency-key': 'once' }));
    expect(answers.map(({ headers }) => headers.get('idempotency-replayed'))).toEqual([null, 'true']);
    expect(answers.map(({ headers }) => headers.get('cache-control'))).toEqual(['no-store', 'no-store']);
  });
});

test('a stream says itself that it is not kept', async () => {
  const { headers, body } = await ask(['GET', `/api/v1/runs/${run_id}/events`, 200]);
  expect(headers.get('cache-control')).toBe('no-store, no-transform');
  await body?.cancel();
});

test.each<[path: string, status: number, value: string | null]>([
  ['/openapi.json', 200, 'public, max-age=300'],
  ['/docs', 200, 'public, max-age=300'],
  ['/docs/start.js', 200, 'public, max-age=300'],
  ['/docs/assets/swagger-ui.css', 200, 'public, max-age=300'],
  ['/docs/assets/nothing.css', 404, null],
  ['/problems', 200, 'public, max-age=300'],
  ['/problems/not-found', 200, 'public, max-age=300'],
  ['/problems/nothing', 404, null],
  ['/health', 200, null],
])('%s may be kept, as it is the same for all: %i %s', async (path, status, value) => {
  const answer = await fetch(orchflow.url + path);
  expect([answer.status, answer.headers.get('cache-control')]).toEqual([status, value]);
});

test('browsers are told to stay with https where the operator says so, and only there', async () => {
  const plain = await startOrchflow({ worker: false });
  for (const path of ['/health', '/docs', '/api/v1/runs', '/api/v1/nothing']) {
    const told = await Promise.all([orchflow.url, plain.url].map((url) => fetch(url + path)));
    const values = told.map(({ headers }) => headers.get('strict-transport-security'));
    expect(values, path).toEqual(['max-age=31536000', null]);
  }
  await plain.stop();
});
