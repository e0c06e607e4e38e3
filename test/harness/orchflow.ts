import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { sql } from 'kysely';
import { inject } from 'vitest';
import { createDb } from '../../db/index.ts';
import { createApp } from '../../src/app.ts';
import { startAppDeps } from '../../src/deps.ts';
import { loadConfig } from '../../src/config.ts';
import { listen } from '../../src/http/listen.ts';
import { assertNothingLeaked } from './canaries.ts';
import { register } from './client.ts';
import { keepLog, startWorker, workerLines } from './worker.ts';

export { createUser, until, type Answer, type TestRun, type User } from './client.ts';

/** Orchflow for a test file: its own database and task queue, the real app on a real port, and a real worker. */

type Environment = Record<string, string>;

/** A database of its own: migrated, or an empty one by the template `template0`. Returns its address. */
export async function createDatabase(template = 'template'): Promise<string> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  const admin = createDb(inject('postgresUrl'), 1);
  // Copied as files: written to the log page by page, it costs twice as much.
  await sql`create database ${sql.ref(name)} template ${sql.ref(template)} strategy file_copy`
    .execute(admin)
    .finally(() => admin.destroy());
  return Object.assign(new URL(inject('postgresUrl')), { pathname: `/${name}` }).href;
}

/** The environment of an Orchflow of its own, for processes that a test starts itself. */
export async function createEnvironment(overrides: Environment = {}): Promise<Environment> {
  const DATABASE_URL = overrides.DATABASE_URL ?? (await createDatabase());
  return {
    DATABASE_URL,
    TEMPORAL_ADDRESS: inject('temporalAddress'),
    TEMPORAL_TASK_QUEUE: new URL(DATABASE_URL).pathname.slice(1),
    ENCRYPTION_KEY: randomBytes(32).toString('base64'),
    ORCHFLOW_EMBEDDED: 'true',
    ALLOW_MANAGED_RUNS_WITHOUT_PROVIDER: 'true',
    ORCHFLOW_ALLOWED_PRIVATE_CIDRS: '127.0.0.0/8',
    HOST: '127.0.0.1',
    PORT: '0',
    LOG_LEVEL: 'warn',
    REMIND_EVERY_MIN_SECONDS: '1',
    // What is tried of it takes a second of each worker.
    SANDBOX_DRIVER: 'none',
    FILES_DIR: path.join(tmpdir(), `orchflow-files-${new URL(DATABASE_URL).pathname.slice(1)}`),
    ...overrides,
  };
}

export type Orchflow = Awaited<ReturnType<typeof startOrchflow>>;

/** Starts the API in this process, and a worker unless `worker` is false. */
export async function startOrchflow({
  environment,
  worker: withWorker = true,
}: { environment?: Environment; worker?: boolean } = {}) {
  underway += 1;
  const env = await createEnvironment(environment);
  const config = loadConfig(env);
  const lines: string[] = [];
  const log = keepLog(lines);
  const { deps, client, close } = startAppDeps({ config, log, version: 'test' });
  const { db, outbox, runEvents } = deps;
  const app = createApp(deps);
  const server = listen(app, config);
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address() as { port: number };
  const url = `http://127.0.0.1:${address.port}`;
  // What code calls that is run by workers.
  env.SANDBOX_GATEWAY_URL ??= url;
  let worker = withWorker ? await startWorker(env) : undefined;

  return {
    url,
    env,
    db,
    outbox,
    client,
    app,
    runEvents,
    register: () => register(url),
    async startWorker() {
      worker = await startWorker(env);
    },
    async stopWorker() {
      await worker?.stop();
      worker = undefined;
    },
    /** Fails when it has left a secret anywhere. */
    async stop() {
      server.close();
      await runEvents.stop();
      await worker?.stop();
      await close();
      await rm(config.FILES_DIR, { recursive: true, force: true });
      await assertNothingLeaked(env, [...lines, ...workerLines].join('\n'));
      underway -= 1;
      if (underway === 0) workerLines.length = 0;
    },
  };
}

/** Of this process, in which one test file follows another. */
let underway = 0;
