import { spawn } from 'node:child_process';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { Client, Connection } from '@temporalio/client';
import { sql } from 'kysely';
import { createDb, type Db } from '../db/index.ts';
import { choosePort } from '../src/embedded/ports.ts';
import { inBackground } from '../src/embedded/processes.ts';
import { register, until } from '../test/harness/client.ts';
import { createLauncher } from './launch.ts';
import type { Model } from './model.ts';
import { commandOf, residentMemory } from './processes.ts';

export type Servers = Awaited<ReturnType<typeof startServers>>;

/**
 * A build as its own `npm start` runs it, with a database and a Temporal of its own on disk: nothing is mocked but the
 * model. None of its processes is started again when it ends.
 * @param root the build's checkout
 */
export async function startServers({ root, model, settings = {} }: Build) {
  const launcher = await createLauncher({ root, env: { ...environmentOf(model), ...settings } });
  const { url } = await launcher.start();
  await launcher.leaveAlone();
  const processes = launcher.processes();
  const { env } = await commandOf(processes.api);
  const db = createDb(env.DATABASE_URL!);
  const address = env.TEMPORAL_ADDRESS!;

  return {
    url,
    db,
    model,
    client: new Client({ connection: await Connection.connect({ address }) }),
    user: await register(url),
    processes,
    launcher,
    /** Resolves with the task queue of the bare workflow, when its worker is there. */
    bareQueue: once(() => startBareWorker(address, model.url)),
    /** The same build once more, in another directory. */
    another: (more: Record<string, string> = {}) => startServers({ root, model, settings: { ...settings, ...more } }),
    /** As `npm start`, in a directory of its own, but not started yet. */
    launch: () => createLauncher({ root, env: { ...environmentOf(model), ...settings } }),
    /** Another worker, started as the one that runs was. */
    async startWorker(): Promise<void> {
      const worker = await commandOf(processes.worker);
      startChild([...inBackground, ...worker.command], worker.env);
    },
    /** Another API, started as the one that runs was, with more settings. Its memory is the resident one, in bytes. */
    async startApi(more: Record<string, string> = {}) {
      const api = await commandOf(processes.api);
      const PORT = String(await choosePort());
      const own = `http://127.0.0.1:${PORT}`;
      const child = startChild(api.command, { ...api.env, ...more, PORT });
      await until(() => isUp(own), 'the other API answers');
      return {
        url: own,
        memory: () => residentMemory(child.pid!),
        stop: () => new Promise<void>((resolve) => child.once('exit', () => resolve()).kill()),
      };
    },
    storage: () => bytesOnDisk(db, path.join(launcher.dir, 'temporal', 'temporal.db')),
    async stop() {
      await db.destroy();
      await launcher.destroy();
    },
  };
}

type Build = { root: string; model: Model; settings?: Record<string, string> };

function environmentOf({ url }: Model): Record<string, string> {
  return {
    ORCHFLOW_ALLOWED_PRIVATE_CIDRS: '127.0.0.0/8',
    OPENAI_API_KEY: 'sk-bench',
    OPENAI_BASE_URL: `${url}/openai/v1`,
    LOG_LEVEL: 'warn',
  };
}

/** A process that ends with this one. */
function startChild([command, ...args]: string[], env: Record<string, string>) {
  const child = spawn(command!, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  process.once('exit', () => child.kill('SIGKILL'));
  return child;
}

async function startBareWorker(address: string, modelUrl: string): Promise<string> {
  const queue = 'bare';
  const worker = path.join(import.meta.dirname, 'bare/worker.ts');
  const command = [...inBackground, process.execPath, worker, address, queue, modelUrl];
  const child = startChild(command, { PATH: '/usr/bin:/bin' });
  await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve);
    child.once('exit', () => reject(new Error('The bare worker ended.')));
  });
  return queue;
}

function once<T>(work: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= work());
}

async function bytesOnDisk(db: Db, temporalFile: string): Promise<{ postgres: number; temporal: number }> {
  const { rows } = await sql<{ size: number }>`select pg_database_size(current_database()) as size`.execute(db);
  const files = await Promise.all(['', '-wal'].map((end) => stat(temporalFile + end).catch(() => ({ size: 0 }))));
  return { postgres: Number(rows[0]!.size), temporal: files.reduce((sum, file) => sum + file.size, 0) };
}

function isUp(url: string): Promise<boolean> {
  return fetch(`${url}/health`).then(
    (answer) => answer.ok,
    () => false,
  );
}
