import { spawn, type ChildProcess } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { choosePort } from '../src/embedded/ports.ts';
import { killRecorded, readPidFile } from '../src/embedded/processes.ts';
import type { Processes } from './processes.ts';

const names = ['api', 'worker', 'temporal', 'postgres'] as const;

export type Launcher = Awaited<ReturnType<typeof createLauncher>>;

/** `npm start` of a build, in a directory of its own, which is gone after `destroy`, or when this process ends. */
export async function createLauncher({ root, env }: { root: string; env: Record<string, string> }) {
  const dir = await mkdtemp(path.join(tmpdir(), 'orchflow-bench-'));
  const pidFile = (name: string) => path.join(dir, 'pids', `${name}.json`);
  const kill = () => ['launcher', ...names].forEach((name) => killRecorded(pidFile(name)));
  const killNow = () => {
    kill();
    rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
  };
  process.once('exit', killNow);
  let launched: ChildProcess | undefined;

  return {
    dir,
    /**
     * Starts it. Resolves when it says that it is ready.
     * @returns how long that took, in milliseconds
     */
    async start(): Promise<{ url: string; took_ms: number }> {
      const PORT = String(await choosePort());
      const began = performance.now();
      launched = spawn(path.join(root, 'node_modules/.bin/node'), ['src/dev.ts'], {
        cwd: root,
        env: { ...base, ...env, ORCHFLOW_DATA_DIR: dir, HOST: '127.0.0.1', PORT },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await ready(launched);
      return { url: `http://127.0.0.1:${PORT}`, took_ms: performance.now() - began };
    },
    /** Ends it as a Ctrl-C does; its data stay. */
    stop: () => new Promise<void>((resolve) => launched!.once('exit', () => resolve()).kill('SIGTERM')),
    /** Nobody starts again from now on what has ended. What runs goes on. */
    leaveAlone: () => new Promise<void>((resolve) => launched!.once('exit', () => resolve()).kill('SIGKILL')),
    processes: () =>
      Object.fromEntries(names.map((name) => [name, readPidFile(pidFile(name))!.pid])) as unknown as Processes,
    async destroy() {
      process.off('exit', killNow);
      kill();
      await rm(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    },
  };
}

/** Nothing of a person's settings. */
const base = { PATH: process.env.PATH ?? '/usr/bin:/bin', HOME: homedir() };

function ready(launched: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    const said: string[] = [];
    launched.once('exit', () => reject(new Error(`npm start ended:\n${said.join('\n')}`)));
    createInterface({ input: launched.stdout! }).on('line', (line) => {
      said.push(line);
      if (line.startsWith('Orchflow is ready')) resolve();
    });
  });
}
