import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { readFileSync } from 'node:fs';
import { createDb } from '../db/index.ts';
import { migrateToLatest } from '../db/migrate.ts';
import { choosePort } from '../src/embedded/ports.ts';
import { killRecorded, startProcess, type RunningProcess } from '../src/embedded/processes.ts';
import { startBackends, type Backends } from '../test/harness/backends.ts';
import { environmentOf, type RunLimits } from './limits.ts';
import { startProxy, type Proxy } from '../test/harness/proxy.ts';
import { hasSandbox } from './sandbox.ts';
import { createServer, type Server } from './server.ts';

const root = path.join(import.meta.dirname, '..');

export const workerNames = ['worker1', 'worker2'] as const;
/** `coder` is the worker that runs code of people. */
export const serviceNames = ['api1', 'api2', ...workerNames, ...(hasSandbox ? (['coder'] as const) : [])] as const;
export type ServiceName = (typeof serviceNames)[number];
export type ServerName = ServiceName | 'postgres' | 'temporal';
export type Link = { from: ServiceName; to: 'postgres' | 'temporal'; proxy: Proxy };
export type Servers = Awaited<ReturnType<typeof startServers>>;

/**
 * Two APIs, two workers, one for code of people, PostgreSQL and Temporal, each a process that can be killed, frozen and started again.
 * Between each API or worker and each of the two stands a line of its own. Model calls time out after seconds. `web` is what code may reach.
 */
export async function startServers(report: (line: string) => void, run: RunLimits, web: string) {
  // The audit asks when what it sees was committed (`audit.ts`).
  const backends = await startBackends('chaos', report, { track_commit_timestamp: 'on' });
  const db = createDb(backends.postgres.url, 4);
  await migrateToLatest(db);
  const secrets: Secrets = {
    encryption_key: randomBytes(32).toString('base64'),
    codec_token: randomBytes(24).toString('base64url'),
  };
  const filesDir = path.join(backends.dir, 'files');
  const links: Link[] = [];
  const surroundings = { backends, filesDir, secrets, links, report, run, web: new URL(web).host };

  const { postgres, temporal } = backends;
  const [api1, api2] = [await startService('api1', surroundings), await startService('api2', surroundings)];
  const running = {
    postgres: createServer('postgres', report, { startAgain: () => backends.restartPostgres(), first: postgres }),
    temporal: createServer('temporal', report, { startAgain: () => backends.restartTemporal(), first: temporal }),
    api1,
    api2,
    worker1: await startService('worker1', surroundings),
    worker2: await startService('worker2', surroundings),
    ...(hasSandbox && { coder: await startService('coder', surroundings, api1.url) }),
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
    apis: [api1, api2].map(({ name, url }) => ({ name, url })),
    get: (name: ServerName): Server => running[name]!,
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
  /** Host and port. */
  web: string;
};

/** An API or a worker that reaches PostgreSQL and Temporal by lines of its own. `gateway` is where code calls agents. */
async function startService(
  name: ServiceName,
  surroundings: Surroundings,
  gateway?: string,
): Promise<Server & { url: string }> {
  const { backends, filesDir, secrets, links, report, run, web } = surroundings;
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
    // What is tried of a sandbox takes a second of each worker, and many are started.
    WORKER_TASKS: gateway ? 'code' : 'no_code',
    SANDBOX_DRIVER: gateway ? 'bubblewrap' : 'none',
    SANDBOX_HOSTS: web,
    ...(gateway && { SANDBOX_GATEWAY_URL: gateway }),
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
  const isReady = ({ logStart }: RunningProcess) => readFileSync(logFile).subarray(logStart).includes(readyWords(name));
  const server = createServer(name, report, { startAgain, isReady });
  await server.start();
  return { ...server, url: `http://127.0.0.1:${port}` };
}

/** What a process logs that takes work. */
function readyWords(name: ServiceName): string {
  if (name === 'coder') return '"code runs in a sandbox"';
  return name.startsWith('api') ? '"listening"' : '"worker started"';
}
