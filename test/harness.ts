import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { serve } from '@hono/node-server';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { sql } from 'kysely';
import { pino } from 'pino';
import { expect, inject } from 'vitest';
import { createActivities } from '../activities/index.ts';
import { createDb } from '../db/index.ts';
import type { RunView, TaskView } from '../db/run-views.ts';
import { createApp } from '../src/app.ts';
import { loadConfig } from '../src/config.ts';
import { createEngine } from '../src/engine.ts';
import { createGuardedFetch } from '../src/llm/index.ts';
import { managedModels } from '../src/managed.ts';
import { createOutbox } from '../src/outbox.ts';
import { createTemporalClient } from '../src/temporal.ts';
import { workerOptions } from '../src/worker-options.ts';
import type { FakeModel } from './fakes/model.ts';

/** Orchflow for a test file: its own database and task queue, the real app on a real port, and a real worker. */

type Environment = Record<string, string>;

/** The environment of an Orchflow of its own, for processes that a test starts itself. */
export async function createEnvironment(overrides: Environment = {}): Promise<Environment> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  const admin = createDb(inject('postgresUrl'), 1);
  await sql`create database ${sql.ref(name)} template template`.execute(admin).finally(() => admin.destroy());
  return {
    DATABASE_URL: Object.assign(new URL(inject('postgresUrl')), { pathname: `/${name}` }).href,
    TEMPORAL_ADDRESS: inject('temporalAddress'),
    TEMPORAL_TASK_QUEUE: name,
    ENCRYPTION_KEY: randomBytes(32).toString('base64'),
    ORCHFLOW_EMBEDDED: 'true',
    ALLOW_MANAGED_RUNS_WITHOUT_PROVIDER: 'true',
    ORCHFLOW_ALLOWED_PRIVATE_CIDRS: '127.0.0.0/8',
    HOST: '127.0.0.1',
    PORT: '0',
    LOG_LEVEL: 'warn',
    ...overrides,
  };
}

export type Orchflow = Awaited<ReturnType<typeof startOrchflow>>;

/** Starts the API in this process, and a worker unless `worker` is false. */
export async function startOrchflow({
  environment,
  worker: withWorker = true,
}: { environment?: Environment; worker?: boolean } = {}) {
  const env = await createEnvironment(environment);
  const config = loadConfig(env);
  const log = pino({ level: 'error' });
  const db = createDb(config.DATABASE_URL);
  const client = createTemporalClient(config);
  const engine = createEngine({ client, db, taskQueue: config.TEMPORAL_TASK_QUEUE });
  const outbox = createOutbox({ db, engine, log });
  const managed = managedModels(config);
  const app = createApp({ db, engine, outbox, config, managed, log, version: 'test' });
  const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 });
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address() as { port: number };
  const url = `http://127.0.0.1:${address.port}`;
  let worker = withWorker ? await startWorker(env) : undefined;

  return {
    url,
    env,
    db,
    client,
    app,
    register: () => register(url),
    async startWorker() {
      worker = await startWorker(env);
    },
    async stopWorker() {
      await worker?.stop();
      worker = undefined;
    },
    async stop() {
      server.close();
      await worker?.stop();
      await outbox.stop();
      await Promise.all([client.connection.close(), db.destroy()]);
    },
  };
}

async function startWorker(env: Environment) {
  const config = loadConfig(env);
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  const db = createDb(config.DATABASE_URL);
  const guarded = createGuardedFetch({
    allowedPrivateCidrs: config.ORCHFLOW_ALLOWED_PRIVATE_CIDRS,
    headers_timeout_ms: 60_000,
    idle_timeout_ms: 60_000,
    max_body_bytes: 4 * 1024 * 1024,
  });
  const connection = await NativeConnection.connect({ address: config.TEMPORAL_ADDRESS });
  const { workflowsPath: _, ...options } = workerOptions;
  const worker = await Worker.create({
    ...options,
    shutdownGraceTime: 0,
    workflowBundle: { codePath: inject('workflowBundle') },
    connection,
    taskQueue: config.TEMPORAL_TASK_QUEUE,
    activities: createActivities({
      db,
      fetch: guarded.fetch,
      encryptionKey: config.ENCRYPTION_KEY,
      managed: managedModels(config),
      llm_timeout_ms: config.LLM_TIMEOUT_SECONDS * 1000,
    }),
  });
  const running = worker.run();
  return {
    async stop() {
      worker.shutdown();
      await running;
      await Promise.all([connection.close(), db.destroy(), guarded.close()]);
    },
  };
}

/** What an answer of the API was. `body` is parsed JSON. */
export type Answer<T = any> = { status: number; headers: Headers; body: T };

export type User = Awaited<ReturnType<typeof register>>;

/** A new account at this API. */
export async function register(url: string) {
  const email = `${randomBytes(6).toString('hex')}@example.com`;
  const registered = await request(url, undefined, 'POST', '/api/v1/auth/register', { name: 'Ada', email });
  return createUser(url, registered.body.api_key, registered.body.webhook_secret, email);
}

async function request(url: string, key: string | undefined, method: string, path: string, body?: unknown): Promise<Answer> {
  const response = await fetch(url + path, {
    method,
    headers: { ...(key && { 'x-api-key': key }), ...(body !== undefined && { 'content-type': 'application/json' }) },
    body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text ? JSON.parse(text) : undefined };
}

function createUser(url: string, api_key: string, webhook_secret: string, email: string) {
  const send = (method: string, path: string, body?: unknown) => request(url, api_key, method, `/api/v1${path}`, body);
  return {
    api_key,
    webhook_secret,
    email,
    get: (path: string) => send('GET', path),
    post: (path: string, body: unknown) => send('POST', path, body),
    delete: (path: string) => send('DELETE', path),

    /** Registers the fake as this user's provider and returns the provider's id. */
    async addProvider(model: FakeModel, vendor: 'openai' | 'anthropic' | 'gemini' | 'ollama' = 'openai', more: object = {}) {
      const provider = { provider: vendor, api_key: 'sk-test', base_url: model.baseUrl(vendor), ...more };
      const created = await send('POST', '/providers', provider);
      expect(created.status, JSON.stringify(created.body)).toBe(201);
      return created.body.provider_id as string;
    },

    async startRun(run: { task: string; [field: string]: unknown }) {
      const created = await send('POST', '/runs', run);
      expect(created.status, JSON.stringify(created.body)).toBe(201);
      return openRun(send, created.body.run_id);
    },
  };
}

export type TestRun = ReturnType<typeof openRun>;

function openRun(send: (method: string, path: string, body?: unknown) => Promise<Answer>, run_id: string) {
  const get = async (): Promise<RunView> => (await send('GET', `/runs/${run_id}`)).body;
  return {
    run_id,
    get,
    task: async (id: string): Promise<TaskView> => (await get()).tasks.find((task) => task.id === id)!,
    complete: (task_id: string, answer: object) => send('POST', `/runs/${run_id}/tasks/${task_id}/complete`, answer),
    cancel: () => send('DELETE', `/runs/${run_id}`),

    /** The run, as soon as it is in this state: a status, or any condition. Fails at once when it ended in another. */
    async until(state: RunView['status'] | ((run: RunView) => boolean), deadline_ms = 30_000): Promise<RunView> {
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

/** Looks again and again, some milliseconds apart, until the condition holds. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string | (() => string),
  deadline_ms = 20_000,
): Promise<void> {
  const end = performance.now() + deadline_ms;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`Not within ${deadline_ms} ms: ${typeof what === 'string' ? what : what()}`);
    await sleep(20);
  }
}
