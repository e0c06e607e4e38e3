import { spawn } from 'node:child_process';
import { accessSync, constants, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { loadTemporalBinaryConfig } from '../config.ts';
import { withProgress } from './processes.ts';
import type { Report } from './processes.ts';

const version = '1.5.1';
const connectDeadlineMs = 10_000;
const stallDeadlineMs = 30_000;
const draftLifetimeMs = 24 * 3_600_000;

export interface FindTemporalOptions {
  report: Report;
  /** Ends a download or a build. */
  signal?: AbortSignal;
  /** Default: the environment of this process. */
  env?: Record<string, string | undefined>;
  downloadBase?: string;
}

/**
 * Finds a `temporal` CLI: `ORCHFLOW_TEMPORAL_CLI`, `PATH`, the per-user cache; else downloads it or builds it with Go,
 * into that cache, saying so. Several processes may do this at once.
 * @returns the path of the program
 * @throws an error that says the three ways to get one
 */
export async function findTemporal(options: FindTemporalOptions): Promise<string> {
  const { report, signal, downloadBase = 'https://temporal.download/cli/archive' } = options;
  const settings = loadTemporalBinaryConfig(options.env);
  const { ORCHFLOW_TEMPORAL_CLI: chosen, PATH, XDG_CACHE_HOME, inherited } = settings;
  if (chosen) {
    if (isExecutable(chosen)) return chosen;
    throw new Error(`ORCHFLOW_TEMPORAL_CLI=${chosen} is not a program that can be run.`);
  }
  const onPath = findOnPath('temporal', PATH);
  if (onPath) return onPath;
  const cache = join(XDG_CACHE_HOME ?? join(inherited.HOME ?? homedir(), '.cache'), 'orchflow', 'bin');
  const cached = join(cache, `temporal-${version}`);
  if (isExecutable(cached)) return cached;

  const draft = makeDraft(cache);
  const faults: string[] = [];
  const ways = [
    () => download({ base: downloadBase, draft, report, signal }),
    () => build({ go: findOnPath('go', PATH), env: inherited, draft, report, signal }),
  ];
  try {
    for (const way of ways) {
      try {
        const program = await way();
        await run({ command: program, args: ['--version'], signal });
        renameSync(program, cached);
        return cached;
      } catch (error) {
        signal?.throwIfAborted();
        faults.push((error as Error).message);
        report((error as Error).message);
      }
    }
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  throw new Error(
    `Orchflow needs a Temporal server and could not get one:\n  ${faults.join('\n  ')}\nThree ways to get one:\n` +
      '  1. Install the Temporal CLI so that "temporal" is on the PATH (https://docs.temporal.io/cli), or name it with ORCHFLOW_TEMPORAL_CLI.\n' +
      '  2. Install Go (https://go.dev/dl) and start again: it is built from source in about 4 minutes.\n' +
      '  3. Use a Temporal server that runs already: TEMPORAL_ADDRESS=host:7233.',
  );
}

async function download(options: { base: string; draft: string; report: Report; signal?: AbortSignal }) {
  const { base, draft, report, signal } = options;
  const arch = process.arch === 'x64' ? 'amd64' : process.arch;
  const url = `${base}/v${version}?platform=${process.platform}&arch=${arch}`;
  const host = new URL(url).host;
  report(`downloading Temporal ${version} from ${host}`);
  const { EnvHttpProxyAgent, fetch } = await import('undici');
  const dispatcher = new EnvHttpProxyAgent({
    connect: { timeout: connectDeadlineMs },
    headersTimeout: connectDeadlineMs,
    bodyTimeout: stallDeadlineMs,
  });
  try {
    await withProgress(report, 'downloading Temporal', async () => {
      const response = await fetch(url, { dispatcher, signal });
      if (!response.ok || !response.body) throw new Error(`HTTP ${response.status}`);
      const tar = spawn('tar', ['-xzf', '-', '-C', draft, 'temporal'], { stdio: ['pipe', 'ignore', 'ignore'] });
      const ended = new Promise<number | null>((done, fail) => tar.once('error', fail).once('close', done));
      const [code] = await Promise.all([ended, pipeline(Readable.fromWeb(response.body), tar.stdin)]);
      if (code !== 0) throw new Error('the archive is broken');
    });
  } catch (error) {
    const { message, cause } = error as Error;
    throw new Error(`download from ${host} failed: ${cause instanceof Error ? cause.message : message}`, {
      cause: error,
    });
  } finally {
    await dispatcher.destroy();
  }
  return join(draft, 'temporal');
}

async function build(options: {
  go?: string;
  env: Record<string, string | undefined>;
  draft: string;
  report: Report;
  signal?: AbortSignal;
}) {
  const { go, env, draft, report, signal } = options;
  if (!go) throw new Error('building it failed: there is no "go" on the PATH');
  report(`building Temporal ${version} with go install; this takes about 4 minutes, once`);
  const source = `github.com/temporalio/cli/cmd/temporal@v${version}`;
  // Without cgo no C compiler is needed; the SQLite inside is written in Go.
  const goEnvironment = { ...env, GOBIN: draft, CGO_ENABLED: '0', GOOS: undefined, GOARCH: undefined };
  await withProgress(report, 'building Temporal with go install', () =>
    run({ command: go, args: ['install', source], env: goEnvironment, signal }),
  ).catch((error: Error) => {
    throw new Error(`building it failed: ${error.message}`, { cause: error });
  });
  return join(draft, 'temporal');
}

/** In a process group of its own, so that ending it early also ends the compilers it has started. */
function run(options: {
  command: string;
  args: string[];
  env?: Record<string, string | undefined>;
  signal?: AbortSignal;
}): Promise<void> {
  const { command, args, env, signal } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, detached: true, stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    child.stderr.on('data', (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-2000)));
    const end = () => {
      if (child.pid) process.kill(-child.pid, 'SIGKILL');
    };
    signal?.addEventListener('abort', end, { once: true });
    child.once('error', reject);
    child.once('close', (code) => {
      signal?.removeEventListener('abort', end);
      if (code === 0) resolve();
      else reject(new Error(errors.trim().split('\n').slice(-5).join('\n  ') || `${command} ended with ${code}`));
    });
  });
}

/** A directory on the same disk as the cache: what is made there is renamed into place, whole or not at all. */
function makeDraft(cache: string): string {
  mkdirSync(cache, { recursive: true });
  for (const name of readdirSync(cache)) {
    const path = join(cache, name);
    const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (name.startsWith('draft-') && age > draftLifetimeMs) rmSync(path, { recursive: true, force: true });
  }
  return mkdtempSync(join(cache, 'draft-'));
}

function findOnPath(name: string, path: string): string | undefined {
  const folders = path.split(delimiter).filter(Boolean);
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
