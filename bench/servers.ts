import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { Client, Connection } from '@temporalio/client';
import { createDb } from '../db/index.ts';
import { migrateToLatest } from '../db/migrate.ts';
import { choosePort } from '../src/embedded/ports.ts';
import { startPostgres } from '../src/embedded/postgres.ts';
import { findTemporal, startTemporal } from '../src/embedded/temporal.ts';
import { register, until } from '../test/client.ts';

const root = path.join(import.meta.dirname, '..');

export type Servers = Awaited<ReturnType<typeof startServers>>;

/** Everything that a bench needs, each a process of its own, as `npm start` runs them: nothing is mocked but the model. */
export async function startServers({ latency_ms }: { latency_ms: number }) {
  const dir = await mkdtemp(path.join(tmpdir(), 'orchflow-bench-'));
  const children: ChildProcess[] = [];
  const killChildren = () => children.forEach((child) => child.kill('SIGKILL'));
  process.once('exit', killChildren);
  const report = (line: string) => console.error(line);

  function start(file: string, args: string[], env: Record<string, string> = {}) {
    const child = spawn(process.execPath, [path.join(root, file), ...args], {
      env: { PATH: '/usr/bin:/bin', ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    return child;
  }

  const temporalFile = path.join(dir, 'temporal.db');
  const [postgres, temporal, modelUrl, port] = await Promise.all([
    startPostgres({ dataDir: path.join(dir, 'postgres'), report }),
    findTemporal({ report }).then((binary) =>
      startTemporal({ binary, dbFile: temporalFile, headless: true, report, logFile: path.join(dir, 'temporal.log') }),
    ),
    firstLine(start('bench/fake-model.ts', [String(latency_ms)])),
    choosePort(),
  ]);
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
  const worker = start('src/worker.ts', [], environment);
  const bareQueue = 'bare';
  const bareWorker = start('bench/bare/worker.ts', [temporal.address, bareQueue, modelUrl]);
  await firstLine(bareWorker);
  await until(
    () =>
      fetch(`${url}/health`).then(
        (answer) => answer.ok,
        () => false,
      ),
    'the API answers',
  );

  return {
    url,
    db,
    client: new Client({ connection: await Connection.connect({ address: temporal.address }) }),
    user: await register(url),
    bareQueue,
    temporalFile,
    /** Resident memory, in bytes. */
    memory: async () => ({ api: await residentMemory(api.pid!), worker: await residentMemory(worker.pid!) }),
    startWorker: () => start('src/worker.ts', [], environment),
    worker,
    async stop() {
      killChildren();
      await db.destroy();
      await Promise.all([postgres.stop(), temporal.stop()]);
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function firstLine(child: ChildProcess): Promise<string> {
  const lines = createInterface({ input: child.stdout! });
  for await (const line of lines) {
    child.stdout!.resume();
    return line;
  }
  throw new Error('The process ended without a line.');
}

async function residentMemory(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) * 1024;
}
