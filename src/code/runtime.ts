import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { noteCodeWorker, removeCodeWorker, tellsEvery_seconds } from '../../db/code-workers.ts';
import type { Db } from '../../db/index.ts';
import type { FileStore } from '../files/store.ts';
import { findSandbox, handOver, type Limits, type Sandbox, type SandboxSettings } from '../sandbox/index.ts';
import { createBundleCache, type BundleCache } from './cache.ts';

/** What a worker runs code with. */

export type CodeRuntime = {
  worker_id: string;
  sandbox: Sandbox;
  bundles: BundleCache;
  /** A folder of this process. */
  folder: string;
  /** Of each job, beside its time. */
  limits: Omit<Limits, 'wall_ms'>;
  /** The longest that code of an agent may take. */
  most_ms: number;
};

export type CodeSettings = SandboxSettings & {
  SANDBOX_MEMORY_MB: number;
  SANDBOX_DISK_MB: number;
  SANDBOX_PROCESSES: number;
  SANDBOX_OUTPUT_BYTES: number;
  SANDBOX_CACHE_MB: number;
  SANDBOX_MAX_SECONDS: number | null;
};

const mib = 1024 * 1024;

/**
 * Looks for a sandbox that holds, and tells the API, again and again until it is closed, which one it is or why there is none. With
 * none there is no `runtime`, and nothing is run.
 */
export async function startCodeRuntime(
  settings: CodeSettings,
  { db, files, log }: { db: Db; files: FileStore; log: Logger },
): Promise<{ runtime: CodeRuntime | undefined; close: () => Promise<void> }> {
  const worker_id = `${hostname().slice(0, 60)}-${process.pid}-${randomBytes(4).toString('hex')}`;
  const found = await findSandbox(settings).catch((error: unknown) => ({ reason: (error as Error).message }));
  const sandbox = 'sandbox' in found ? found.sandbox : undefined;
  const reason = 'reason' in found ? found.reason : null;
  if (sandbox) log.info({ driver: sandbox.driver, languages: sandbox.languages }, 'code runs in a sandbox');
  else log.warn({ reason }, 'no code is run here: there is no sandbox that holds');

  const stopping = new AbortController();
  const told = { worker_id, driver: sandbox?.driver ?? null, languages: sandbox?.languages ?? [], reason };
  const telling = tell(db, told, log, stopping.signal);

  async function close(): Promise<void> {
    stopping.abort();
    await telling;
    await removeCodeWorker(db, worker_id).catch(() => {});
    await sandbox?.close();
  }

  if (!('sandbox' in found)) return { runtime: undefined, close };
  const cache = { root: path.join(found.folder, 'bundles'), most_bytes: settings.SANDBOX_CACHE_MB * mib, handOver };
  const limits = {
    memory_bytes: settings.SANDBOX_MEMORY_MB * mib,
    disk_bytes: settings.SANDBOX_DISK_MB * mib,
    processes: settings.SANDBOX_PROCESSES,
    output_bytes: settings.SANDBOX_OUTPUT_BYTES,
  };
  const runtime = {
    worker_id,
    sandbox: found.sandbox,
    bundles: createBundleCache({ files }, cache),
    folder: found.folder,
    limits,
    most_ms: (settings.SANDBOX_MAX_SECONDS ?? Infinity) * 1_000,
  };
  return { runtime, close };
}

async function tell(
  db: Db,
  told: Parameters<typeof noteCodeWorker>[1],
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await noteCodeWorker(db, told).catch((err: unknown) => log.warn({ err }, 'the API was not told of the sandbox'));
    await sleep(tellsEvery_seconds * 1_000, undefined, { signal }).catch(() => {});
  }
}
