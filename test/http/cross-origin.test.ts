import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { createEnvironment, startOrchflow, type Orchflow, type User } from '../harness/orchflow.ts';
import { send } from '../harness/raw.ts';
import { startApiProcess } from '../harness/processes.ts';

/** OPTIONS, and pages of other origins. */

const app = 'https://app.example.com';
const environment = { CORS_ORIGINS: `${app},http://localhost:5173`, RATE_LIMIT_PER_MINUTE: '1000' };
let closed: Orchflow;
let open: Orchflow;
let user: User;
let run_id: string;

beforeAll(async () => {
  closed = await startOrchflow({ worker: false });
  open = await startOrchflow({ worker: false, environment });
  user = await open.register();
  run_id = (await user.startRun({ task: 'Nobody works on it.' })).run_id;
});
afterAll(() => Promise.all([closed.stop(), open.stop()]));

const paths: [path: string, allow: string][] = [
  ['/health', 'GET, HEAD, OPTIONS'],
  ['/openapi.json', 'GET, HEAD, OPTIONS'],
  ['/api/v1/auth/register', 'POST, OPTIONS'],
  // An agent could have that id.
  ['/api/v1/agents/templates', 'GET, HEAD, PATCH, DELETE, OPTIONS'],
  ['/api/v1/runs', 'POST, GET, HEAD, OPTIONS'],
  ['/api/v1/runs/unknown', 'GET, HEAD, DELETE, PATCH, OPTIONS'],
  ['/api/v1/runs/unknown/tasks/T1/complete', 'POST, OPTIONS'],
  ['/api/v1/orchestrations/unknown/run/stream', 'POST, OPTIONS'],
];

test.each(paths)('OPTIONS %s says what it takes, to anybody', async (path, allow) => {
  for (const { url } of [closed, open]) {
    const answer = await send(url, 'OPTIONS', path);
    expect([answer.status, answer.body, answer.headers.get('allow')]).toEqual([204, '', allow]);
  }
});

test('OPTIONS of a path that is none is 404', async () => {
  expect((await send(closed.url, 'OPTIONS', '/api/v1/nothing')).status).toBe(404);
});

const asked = 'x-api-key, content-type, idempotency-key, last-event-id, x-trace';
const preflight = (url: string, path: string, origin: string) =>
  send(url, 'OPTIONS', path, {
    origin,
    'access-control-request-method': 'POST',
    'access-control-request-headers': asked,
  });

describe('a preflight', () => {
  test.each(paths)('of %s is answered without a key, for the origins that are set', async (path) => {
    for (const origin of [app, 'http://localhost:5173']) {
      const { status, headers } = await preflight(open.url, path, origin);
      expect([status, headers.get('access-control-allow-origin')]).toEqual([204, origin]);
      for (const method of ['PATCH', 'DELETE']) expect(headers.get('access-control-allow-methods')).toContain(method);
      for (const name of asked.split(', ')) expect(headers.get('access-control-allow-headers')).toContain(name);
      expect(headers.get('access-control-allow-credentials')).toBeNull();
    }
  });

  test('of another origin, or where none is set, allows nothing', async () => {
    const strangers = [
      [open.url, 'https://evil.example.com'],
      [open.url, 'https://app.example.com.evil.example'],
      [open.url, 'null'],
      [closed.url, app],
    ] as const;
    for (const [url, origin] of strangers) {
      const { status, headers } = await preflight(url, '/api/v1/runs', origin);
      expect([status, headers.get('access-control-allow-origin')]).toEqual([204, null]);
    }
  });
});

describe('an answer', () => {
  const answers: [status: number, method: string, path: string, headers: Record<string, string>, body?: string][] = [
    [200, 'GET', '/api/v1/runs', {}],
    [201, 'POST', '/api/v1/runs', { 'content-type': 'application/json' }, '{"task": "Nobody works on it."}'],
    [401, 'GET', '/api/v1/runs', { 'x-api-key': 'orch_wrong' }],
    [404, 'GET', '/api/v1/runs/unknown', {}],
    [405, 'PATCH', '/api/v1/runs', {}],
    [413, 'POST', '/api/v1/runs', { 'content-type': 'application/json' }, 'x'.repeat(1_100_000)],
    [415, 'POST', '/api/v1/runs', { 'content-type': 'text/plain' }, 'x'],
    [422, 'POST', '/api/v1/runs', { 'content-type': 'application/json' }, '{}'],
  ];
  test.each(answers)('%i to %s %s may be read, with its headers', async (status, method, path, own, body) => {
    const headers = { 'x-api-key': user.api_key, origin: app, ...own };
    const answer = await send(open.url, method, path, headers, body);
    expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([status, app]);
    expect(answer.headers.get('vary')).toContain('Origin');
    for (const name of ['Location', 'Retry-After', 'RateLimit', 'X-Request-Id', 'Idempotency-Replayed']) {
      expect(answer.headers.get('access-control-expose-headers')!.split(',')).toContain(name);
    }
  });

  test('that is a stream, or has begun, too', async () => {
    const headers = { 'x-api-key': user.api_key, origin: app };
    for (const path of ['/events', '?wait=4']) {
      const leaving = new AbortController();
      const response = await fetch(`${open.url}/api/v1/runs/${run_id}${path}`, { headers, signal: leaving.signal });
      expect(response.headers.get('access-control-allow-origin')).toBe(app);
      leaving.abort();
    }
  });
});

test('every origin is *; what is no origin stops the start, in words', async () => {
  const env = await createEnvironment();
  expect(loadConfig({ ...env, CORS_ORIGINS: '*' }).CORS_ORIGINS).toEqual(['*']);
  for (const wrong of ['app.example.com', 'https://app.example.com/', 'https://app.example.com/x', '*.example.com']) {
    await expect(startApiProcess({ ...env, CORS_ORIGINS: `${app},${wrong}` }), wrong).rejects.toThrow(
      /CORS_ORIGINS: must be origins such as https:\/\/app\.example\.com/,
    );
  }
});
