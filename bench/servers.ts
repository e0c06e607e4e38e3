import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { Client, Connection } from '@temporalio/client';
import { sql } from 'kysely';
import { createDb } from '../db/index.ts';
import { migrateToLatest } from '../db/migrate.ts';
import { choosePort } from '../src/embedded/ports.ts';
import { inBackground } from '../src/embedded/processes.ts';
import { startBackends } from '../test/harness/backends.ts';
import { register, until } from '../test/harness/client.ts';

const root = path.join(import.meta.dirname, '..');

export type ModelCall = { call: string; at: number };
export type Servers = Awaited<ReturnType<typeof startServers>>;

/** Everything that a bench needs, each a process of its own, as `npm start` runs them: nothing is mocked but the model. */
export async function startServers({ latency_ms }: { latency_ms: number }) {
  const children: ChildProcess[] = [];
  const killChildren = () => children.forEach((child) => child.kill('SIGKILL'));
  process.once('exit', killChildren);

  function start(file: string, args: string[], env: Record<string, string> = {}, background = false) {
    const [command, ...more] = [...(background ? inBackground : []), process.execPath, path.join(root, file), ...args];
    const child = spawn(command!, more, {
      env: { PATH: '/usr/bin:/bin', ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    return child;
  }

  const model = start('bench/fake-model.ts', [String(latency_ms)]);
  const [backends, modelUrl, port] = await Promise.all([
    startBackends('bench', (line) => console.error(line)),
    firstLine(model),
    choosePort(),
  ]);
  const { postgres, temporal, temporalFile } = backends;
  const db = createDb(postgres.url);
  await migrateToLatest(db);

  const environment = {
    DATABASE_URL: postgres.url,
    TEMPORAL_ADDRESS: temporal.address,
    ENCRYPTION_KEY: randomBytes(32).toString('base64'),
    ORCHFLOW_EMBEDDED: 'true',
    ORCHFLOW_ALLOWED_PRIVATE_CIDRS: '127.0.0.0/8',
    ALLOW_MANAGED_RUNS_WITHOUT_PROVIDER: 'true',
    OPENAI_API_KEY: 'sk-bench',
    OPENAI_BASE_URL: `${modelUrl}/openai/v1`,
    HOST: '127.0.0.1',
    PORT: String(port),
    LOG_LEVEL: 'warn',
  };
  const url = `http://127.0.0.1:${port}`;
  const api = start('src/api.ts', [], environment);
  const isUp = (at: string) =>
    fetch(`${at}/health`).then(
      (answer) => answer.ok,
      () => false,
    );
  const startWorker = () => start('src/worker.ts', [], environment, true);
  const bareQueue = 'bare';
  const bareWorker = start('bench/bare/worker.ts', [temporal.address, bareQueue, modelUrl], {}, true);
  await firstLine(bareWorker);
  await until(() => isUp(url), 'the API answers');

  const worker = startWorker();
  const calls: ModelCall[] = [];
  createInterface({ input: model.stdout! }).on('line', (line) => calls.push(JSON.parse(line)));

  return {
    url,
    db,
    client: new Client({ connection: await Connection.connect({ address: temporal.address }) }),
    user: await register(url),
    bareQueue,
    /** The calls of runs whose goal has a `[run:…]` in it. */
    calls,
    worker,
    startWorker,
    /** Another API. Its memory is the resident one, in bytes. */
    async startApi() {
      const PORT = String(await choosePort());
      const own = `http://127.0.0.1:${PORT}`;
      const process = start('src/api.ts', [], { ...environment, PORT });
      await until(() => isUp(own), 'the other API answers');
      return {
        url: own,
        memory: () => residentMemory(process.pid!),
        stop: () => new Promise<void>((resolve) => process.once('exit', () => resolve()).kill()),
      };
    },
    /** Resident memory, in bytes. */
    memory: async () => ({ api: await residentMemory(api.pid!), worker: await residentMemory(worker.pid!) }),
    /** Bytes on disk. */
    async storage() {
      const { rows } = await sql<{ size: number }>`select pg_database_size(current_database()) as size`.execute(db);
      const files = await Promise.all(['', '-wal'].map((end) => stat(temporalFile + end).catch(() => ({ size: 0 }))));
      return { postgres: rows[0]!.size, temporal: files.reduce((sum, file) => sum + file.size, 0) };
    },
    async stop() {
      killChildren();
      await db.destroy();
      await backends.stop();
    },
  };
}

/** The first line that a process prints. What it prints later stays to be read. */
function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    child.once('exit', () => reject(new Error('The process ended without a line.')));
    child.stdout!.on('data', function read(chunk: Buffer) {
      text += chunk.toString();
      if (!text.includes('\n')) return;
      child.stdout!.off('data', read);
      resolve(text.split('\n')[0]!);
    });
  });
}

async function residentMemory(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) * 1024;
}
