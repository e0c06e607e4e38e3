import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from '@temporalio/client';
import { retentionSeconds, searchAttributes } from '../temporal/namespace.ts';
import { choosePort } from './ports.ts';
import { endedAtOnce, startProcess, withProgress } from './processes.ts';
import type { Report, RunningProcess } from './processes.ts';

export { findTemporal } from './temporal-binary.ts';
export type { FindTemporalOptions } from './temporal-binary.ts';

export interface StartTemporalOptions {
  /** From `findTemporal`. */
  binary: string;
  /** SQLite; without it everything is kept in memory. */
  dbFile?: string;
  /** Default: any free port. */
  port?: number;
  /** Default: any free port. */
  uiPort?: number;
  /** What is taken where no port is given, if it is free by then. */
  preferred?: { port: number; uiPort: number };
  /** No Web UI. */
  headless?: boolean;
  /** Over, or besides, the settings below. */
  dynamicConfig?: Record<string, string | number | boolean>;
  /** FULL survives a power cut; NORMAL is faster and may lose the last moments. */
  synchronous?: 'FULL' | 'NORMAL';
  report: Report;
  logFile: string;
  pidFile?: string;
  /** Hears where it will answer, before it does; once more where that port was taken meanwhile. */
  onAddress?: (own: { address: string; ui_url?: string }) => void;
}

export interface Temporal extends RunningProcess {
  /** host:port of the gRPC frontend. */
  address: string;
  port: number;
  uiPort?: number;
  ui_url?: string;
}

/**
 * Measured (design.md, section 8): the stock server reads its only queue 20 times a second, and has limits meant for a
 * shared cluster. One machine, one user: read it when there is something, and let them all through.
 */
const singleServerConfig = {
  'history.transferProcessorMaxPollRPS': 2000,
  'history.timerProcessorMaxPollRPS': 2000,
  'history.rps': 100_000,
  'matching.rps': 100_000,
  'frontend.rps': 100_000,
  'frontend.namespaceRPS': 100_000,
  'frontend.namespaceRPS.visibility': 10_000,
  'matching.numTaskqueueReadPartitions': 1,
  'matching.numTaskqueueWritePartitions': 1,
  // Accounts take turns. With more partitions they would within each only.
  'matching.enableFairness': true,
  'system.enableActivityEagerExecution': true,
  // Of runs, kept in memory. They are 128,000 by default; those that wait for days need not be.
  'history.hostLevelCacheMaxSize': 512,
  // A run whose worker died in the middle of a workflow task for the fourth time waits so much longer, and not up to 10 min.
  'history.workflowTaskRetryMaxInterval': '10s',
};

/** Its garbage is seldom collected, until it has so much memory; then as often as it must be to keep below. */
const memory = { GOGC: '400', GOMEMLIMIT: '220MiB' };

const namespace = 'default';
const readyDeadlineMs = 60_000;
const attempts = 3;

/**
 * Starts `temporal server start-dev` on 127.0.0.1 with namespace `default` (finished runs are kept 30 days) and
 * Orchflow's search attributes.
 * @throws when it does not answer within 60 s, with the end of its log; nothing runs then
 */
export async function startTemporal(options: StartTemporalOptions): Promise<Temporal> {
  const { report, logFile, pidFile, preferred, headless = false, onAddress } = options;
  const dbFile = options.dbFile && resolve(options.dbFile);
  const markReady = dbFile ? guardFirstStart(dbFile) : () => {};
  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await choosePort(preferred?.port));
    const uiPort = headless ? undefined : (options.uiPort ?? (await choosePort(preferred?.uiPort)));
    const server = await startProcess({
      command: options.binary,
      args: flags({ ...options, dbFile, port, uiPort }),
      // Nothing of the user's TEMPORAL_* settings or profiles, which are about other servers.
      env: { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: dirname(logFile), ...memory },
      background: true,
      logFile,
      pidFile,
      stopDeadlineMs: 20_000,
    });
    const address = `127.0.0.1:${port}`;
    const ui_url = uiPort ? `http://localhost:${uiPort}` : undefined;
    onAddress?.({ address, ui_url });
    try {
      await withProgress(report, 'waiting for Temporal', () => prepareNamespace(server, address));
      markReady();
      return { ...server, address, port, uiPort, ui_url };
    } catch (error) {
      // Somebody took one of the ports in between: also of those that the server chooses for its own services.
      // It says so before a stack of some thirty lines.
      const taken = /address already in use|can't set (frontend|UI) port/.test(server.words());
      await server.stop();
      if (!taken || attempt === attempts) throw error;
    }
  }
}

function flags(options: StartTemporalOptions & { port: number; uiPort?: number }): string[] {
  const { dbFile, port, uiPort, synchronous = 'FULL', dynamicConfig } = options;
  const settings = Object.entries({ ...singleServerConfig, ...dynamicConfig });
  const base = ['server', 'start-dev', '--ip', '127.0.0.1', '--port', String(port), '--log-level', 'warn'];
  const sqlite = ['--db-filename', dbFile ?? '', '--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma'];
  return [
    ...base,
    ...(uiPort ? ['--ui-port', String(uiPort)] : ['--headless']),
    ...(dbFile ? [...sqlite, `synchronous=${synchronous}`] : []),
    ...settings.flatMap(([key, value]) => ['--dynamic-config-value', `${key}=${JSON.stringify(value)}`]),
    ...Object.entries(searchAttributes).flatMap(([name, type]) => ['--search-attribute', `${name}=${type}`]),
  ];
}

/**
 * The server makes its tables only when the file is missing, so a first start that was killed half-way would leave a
 * file without them for ever. A marker stands beside the file until the first start is through.
 */
function guardFirstStart(dbFile: string): () => void {
  const marker = `${dbFile}.unfinished`;
  mkdirSync(dirname(dbFile), { recursive: true, mode: 0o700 });
  if (existsSync(marker)) {
    for (const name of readdirSync(dirname(dbFile))) {
      if (name.startsWith(basename(dbFile))) rmSync(resolve(dirname(dbFile), name));
    }
  }
  if (!existsSync(dbFile)) writeFileSync(marker, '');
  return () => rmSync(marker, { force: true });
}

/** Resolves when the server answers and the namespace is as we want it. */
async function prepareNamespace(server: RunningProcess, address: string) {
  for (const deadline = Date.now() + readyDeadlineMs; ; await sleep(50)) {
    const fault = await Promise.race([tryNamespace(address), endedAtOnce('Temporal', server)]);
    if (!fault) return;
    if (Date.now() > deadline) {
      throw new Error(`Temporal does not answer: ${fault.message}\n${server.lastWords()}`, { cause: fault });
    }
  }
}

async function tryNamespace(address: string): Promise<Error | undefined> {
  // It takes as long to load as the server to begin, and so is loaded beside that.
  const { Connection } = await import('@temporalio/client');
  try {
    const connection = await Connection.connect({ address, connectTimeout: 1000 });
    await connection.withDeadline(Date.now() + 5000, () => setUp(connection)).finally(() => connection.close());
    return undefined;
  } catch (error) {
    return error as Error;
  }
}

async function setUp(connection: Connection) {
  const { ensureSearchAttributes } = await import('../temporal/client.ts');
  const { workflowService } = connection;
  const { config } = await workflowService.describeNamespace({ namespace });
  if (Number(config?.workflowExecutionRetentionTtl?.seconds ?? 0) !== retentionSeconds) {
    const ttl = { seconds: retentionSeconds as unknown as Long };
    await workflowService.updateNamespace({ namespace, config: { workflowExecutionRetentionTtl: ttl } });
  }
  // The flags above count only when the namespace is made; a database from an older Orchflow gets new ones here.
  await ensureSearchAttributes(connection, namespace);
}
