import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunView, TaskView } from '../../db/run-views.ts';
import type { FakeModel } from '../fakes/model.ts';
import { patience } from './patience.ts';
import { send } from './raw.ts';

/** A client of the API, for tests and benches. */

/** What an answer of the API was. `body` is parsed JSON. */
export type Answer<T = any> = { status: number; headers: Headers; body: T };

export type User = Awaited<ReturnType<typeof register>>;

/** A new account at this API. */
export async function register(url: string) {
  for (;;) {
    const email = `${randomBytes(6).toString('hex')}@example.com`;
    const { status, body } = await request(url, undefined, 'POST', '/api/v1/auth/register', { name: 'Ada', email });
    if (status === 201) return createUser(url, body.api_key, body.webhook_secret, email);
    // A process that has just begun, on a machine that is busy, may take longer for the first than an answer may.
    assert.equal(status, 503, JSON.stringify(body));
    await sleep(200);
  }
}

function request(
  url: string,
  key: string | undefined,
  method: string,
  path: string,
  body?: unknown,
  idempotency_key?: string,
): Promise<Answer> {
  const headers = {
    ...(key && { 'x-api-key': key }),
    ...(body !== undefined && { 'content-type': 'application/json' }),
    ...(idempotency_key && { 'idempotency-key': idempotency_key }),
  };
  return send(url, method, path, headers, typeof body === 'string' ? body : JSON.stringify(body));
}

/** One that was registered before. */
export function createUser(url: string, api_key: string, webhook_secret: string, email: string) {
  const call = (method: string, path: string, body?: unknown) => request(url, api_key, method, `/api/v1${path}`, body);

  /** What a test needs and does not judge. A server that is too busy to answer in time is asked again, and does it once. */
  async function insist(method: string, path: string, body?: unknown): Promise<Answer> {
    const idempotency_key = method === 'GET' ? undefined : randomBytes(12).toString('hex');
    const end = performance.now() + patience;
    for (;;) {
      const answer = await request(url, api_key, method, `/api/v1${path}`, body, idempotency_key);
      const isBusy = answer.status === 503 || answer.body?.code === 'IDEMPOTENCY_KEY_IN_FLIGHT';
      if (!isBusy || performance.now() > end) return answer;
      await sleep(200);
    }
  }

  return {
    api_key,
    webhook_secret,
    email,
    get: (path: string) => call('GET', path),
    post: (path: string, body: unknown) => call('POST', path, body),
    put: (path: string, body: unknown) => call('PUT', path, body),
    patch: (path: string, body: unknown) => call('PATCH', path, body),
    delete: (path: string) => call('DELETE', path),
    insist,

    /** Registers the fake as this user's provider and returns the provider's id. */
    async addProvider(
      model: FakeModel,
      vendor: 'openai' | 'anthropic' | 'gemini' | 'ollama' = 'openai',
      more: object = {},
    ) {
      const provider = { provider: vendor, api_key: 'sk-canary', base_url: model.baseUrl(vendor), ...more };
      const created = await insist('POST', '/providers', provider);
      assert.equal(created.status, 201, JSON.stringify(created.body));
      return created.body.provider_id as string;
    },

    async startRun(run: { task: string; [field: string]: unknown }) {
      const created = await insist('POST', '/runs', run);
      assert.equal(created.status, 201, JSON.stringify(created.body));
      return openRun(call, insist, created.body.run_id);
    },
    /** A run of this user that was started before. */
    openRun: (run_id: string) => openRun(call, insist, run_id),
  };
}

export type TestRun = ReturnType<typeof openRun>;

type Call = (method: string, path: string, body?: unknown) => Promise<Answer>;

function openRun(call: Call, insist: Call, run_id: string) {
  const get = async (): Promise<RunView> => (await insist('GET', `/runs/${run_id}`)).body;
  return {
    run_id,
    get,
    task: async (id: string): Promise<TaskView> => (await get()).tasks.find((task) => task.id === id)!,
    complete: (task_id: string, answer: object) => call('POST', `/runs/${run_id}/tasks/${task_id}/complete`, answer),
    cancel: () => call('DELETE', `/runs/${run_id}`),

    /** The run, as soon as it is in this state: a status, or any condition. Fails at once when it ended in another. */
    async until(state: RunView['status'] | ((run: RunView) => boolean), deadline_ms = patience): Promise<RunView> {
      const holds = typeof state === 'string' ? (run: RunView) => run.status === state : state;
      let run = await get();
      await until(
        async () => {
          run = await get();
          const ended = ['completed', 'failed', 'cancelled'].includes(run.status);
          if (ended && !holds(run)) throw new Error(`The run ended: ${describe(run)}`);
          return holds(run);
        },
        () => `${String(state)}, but: ${describe(run)}`,
        deadline_ms,
      );
      return run;
    },
    /** The run, as soon as this task waits for a person. */
    untilWaiting(task_id: string): Promise<RunView> {
      return this.until((run) => run.waiting_tasks.includes(task_id));
    },
  };
}

function describe(run: RunView): string {
  const tasks = run.tasks?.map((task) => `${task.id} ${task.status} ${task.error ?? ''}`).join(', ');
  return `${run.status} ${run.phase} error=${run.error} warnings=${JSON.stringify(run.warnings)} [${tasks}]`;
}

/** Looks again and again until the condition holds: after some milliseconds at first, later after a tenth of a second. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string | (() => string),
  deadline_ms = patience,
): Promise<void> {
  const begun = performance.now();
  while (!(await holds())) {
    const waited = performance.now() - begun;
    if (waited > deadline_ms)
      throw new Error(`Not within ${deadline_ms} ms: ${typeof what === 'string' ? what : what()}`);
    await sleep(Math.min(Math.max(waited / 10, 20), 100));
  }
}
