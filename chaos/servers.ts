import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { createDb } from '../db/index.ts';
import { migrateToLatest } from '../db/migrate.ts';
import { choosePort } from '../src/embedded/ports.ts';
import { killRecorded, startProcess, type RunningProcess } from '../src/embedded/processes.ts';
import { startBackends, type Backends } from '../test/harness/backends.ts';
import { environmentOf, type RunLimits } from './limits.ts';
import { startProxy, type Proxy } from '../test/harness/proxy.ts';

const root = path.join(import.meta.dirname, '..');

export const workerNames = ['worker1', 'worker2'] as const;
export const serviceNames = ['api1', 'api2', ...workerNames] as const;
export type ServiceName = (typeof serviceNames)[number];
export type ServerName = ServiceName | 'postgres' | 'temporal';
export type Server = ReturnType<typeof createServer>;
export type Link = { from: ServiceName; to: 'postgres' | 'temporal'; proxy: Proxy };
export type Servers = Awaited<ReturnType<typeof startServers>>;

/**
 * Two APIs, two workers, PostgreSQL and Temporal, each a process that can be killed, frozen and started again. Between
 * each API or worker and each of the two stands a line of its own. Model calls time out after seconds.
 */
export async function startServers(report: (line: string) => void, run: RunLimits) {
  const backends = await startBackends('chaos', report);
  const db = createDb(backends.postgres.url, 4);
  await migrateToLatest(db);
  const secrets: Secrets = {
    encryption_key: randomBytes(32).toString('base64'),
    codec_token: randomBytes(24).toString('base64url'),
  };
  const filesDir = path.join(backends.dir, 'files');
  const links: Link[] = [];
  const surroundings = { backends, filesDir, secrets, links, report, run };

  const { postgres, temporal } = backends;
  const running = {
    postgres: createServer('postgres', report, { startAgain: () => backends.restartPostgres(), first: postgres }),
    temporal: createServer('temporal', report, { startAgain: () => backends.restartTemporal(), first: temporal }),
    api1: await startService('api1', surroundings),
    api2: await startService('api2', surroundings),
    worker1: await startService('worker1', surroundings),
    worker2: await startService('worker2', surroundings),
  };
  return {
    dir: backends.dir,
    /** Where the files of accounts lie. */
    filesDir,
    db,
    temporalAddress: temporal.address,
    databaseUrl: postgres.url,
    secrets,
    links,
    apis: [running.api1, running.api2].map(({ name, url }) => ({ name, url })),
    get: (name: ServerName): Server => running[name],
    /** The names of servers that ended although nobody had killed them, with how. */
    crashes: () => Object.values(running).flatMap(({ name, crashes }) => crashes.map((how) => `${name}: ${how}`)),
    /** Everything runs and takes work, and every line is open. */
    async heal() {
      for (const { proxy } of links) proxy.heal();
      for (const server of Object.values(running)) await server.start();
      await Promise.all(Object.values(running).map((server) => server.ready()));
    },
    async stop() {
      await Promise.all(Object.values(running).map((server) => server.kill()));
      await db.destroy();
      for (const { proxy } of links) proxy.close();
      await backends.stop();
    },
  };
}

type Secrets = { encryption_key: string; codec_token: string };

type Surroundings = {
  backends: Backends;
  filesDir: string;
  secrets: Secrets;
  /** Takes those of the service. */
  links: Link[];
  report: (line: string) => void;
  run: RunLimits;
};

/** An API or a worker that reaches PostgreSQL and Temporal by lines of its own. */
async function startService(name: ServiceName, surroundings: Surroundings): Promise<Server & { url: string }> {
  const { backends, filesDir, secrets, links, report, run } = surroundings;
  async function line(to: Link['to'], port: number): Promise<number> {
    const proxy = await startProxy(port);
    links.push({ from: name, to, proxy });
    return proxy.port;
  }

  const database = new URL(backends.postgres.url);
  database.port = String(await line('postgres', backends.postgres.port));
  const temporalPort = await line('temporal', Number(backends.temporal.address.split(':')[1]));
  const port = await choosePort();
  const pidFile = path.join(backends.dir, `${name}.json`);
  process.once('exit', () => killRecorded(pidFile));
  const env = {
    PATH: '/usr/bin:/bin',
    DATABASE_URL: database.href,
    TEMPORAL_ADDRESS: `127.0.0.1:${temporalPort}`,
    ENCRYPTION_KEY: secrets.encryption_key,
    CODEC_TOKEN: secrets.codec_token,
    FILES_DIR: filesDir,
    ORCHFLOW_EMBEDDED: 'true',
    // What is tried of it takes a second of each worker, and many are started.
    SANDBOX_DRIVER: 'none',
    ORCHFLOW_ALLOWED_PRIVATE_CIDRS: '127.0.0.0/8',
    HTTP_REQUEST_ALLOWED_PRIVATE_CIDRS: '127.0.0.0/8',
    REMIND_EVERY_MIN_SECONDS: '1',
    RUN_HISTORY_LIMIT: '150',
    HOST: '127.0.0.1',
    PORT: String(port),
    LLM_TIMEOUT_SECONDS: '4',
    LLM_IDLE_TIMEOUT_SECONDS: '2',
    ...environmentOf(run),
  };
  const logFile = path.join(backends.dir, `${name}.log`);
  const isApi = name.startsWith('api');
  const startAgain = () =>
    startProcess({
      command: process.execPath,
      args: [path.join(root, isApi ? 'src/api.ts' : 'src/worker.ts')],
      env,
      background: !isApi,
      logFile,
      pidFile,
    });
  const isReady = ({ logStart }: RunningProcess) =>
    readFileSync(logFile)
      .subarray(logStart)
      .includes(isApi ? '"listening"' : '"worker started"');
  const server = createServer(name, report, { startAgain, isReady });
  await server.start();
  return { ...server, url: `http://127.0.0.1:${port}` };
}

/** One process under our hand. It is started again when it ends by itself, as an operator's supervisor does. */
function createServer(
  name: ServerName,
  report: (line: string) => void,
  {
    startAgain,
    isReady = () => true,
    first,
  }: {
    startAgain: () => Promise<RunningProcess>;
    isReady?: (started: RunningProcess) => boolean;
    first?: RunningProcess;
  },
) {
  const crashes: string[] = [];
  let frozen = false;
  let starting: Promise<void> | undefined;
  let running: RunningProcess | undefined;
  if (first) watch(first);

  function watch(started: RunningProcess): void {
    running = started;
    void started.exited.then(async (how) => {
      if (running !== started) return;
      running = undefined;
      crashes.push(`${how}: ${started.lastWords().slice(-500)}`);
      report(`${name} ended by itself (${how})`);
      await sleep(1_000);
      await start();
    });
  }

  /** Starts or thaws it; does nothing when it runs. Resolves when PostgreSQL or Temporal answer, for others at once. */
  async function start(): Promise<void> {
    thaw();
    if (running) return;
    starting ??= startAgain()
      .then(watch)
      .finally(() => (starting = undefined));
    await starting;
  }

  /** Resolves when it takes work. How long a process needs for that after its start is a matter of the machine. */
  async function ready(): Promise<void> {
    while (!running || !isReady(running)) await sleep(50);
  }

  async function kill(): Promise<void> {
    await starting;
    const killed = running;
    if (!killed) return;
    running = undefined;
    frozen = false;
    signalAll(killed.pid, 'SIGCONT');
    process.kill(killed.pid, 'SIGKILL');
    await killed.exited;
  }

  function freeze(): void {
    if (!running) return;
    frozen = true;
    signalAll(running.pid, 'SIGSTOP');
  }

  function thaw(): void {
    if (frozen && running) signalAll(running.pid, 'SIGCONT');
    frozen = false;
  }

  return { name, crashes, start, ready, kill, freeze, thaw };
}

/** PostgreSQL is a process for each connection. */
function signalAll(pid: number, signal: NodeJS.Signals): void {
  for (const one of [pid, ...childrenOf(pid)]) {
    try {
      process.kill(one, signal);
    } catch {
      // It has ended meanwhile.
    }
  }
}

function childrenOf(pid: number): number[] {
  if (process.platform === 'linux') {
    // A bare machine has no `ps`.
    return readdirSync('/proc')
      .filter((name) => parentOf(name) === pid)
      .map(Number);
  }
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n');
  const pairs = lines.map((line) => line.trim().split(/\s+/).map(Number));
  return pairs.filter(([, parent]) => parent === pid).map(([child]) => child!);
}

function parentOf(name: string): number | undefined {
  try {
    const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
    // The name in parentheses may hold spaces; after it come the state and the parent.
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return undefined;
  }
}
