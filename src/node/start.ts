import path from 'node:path';
import type { Config } from '../config.ts';

/** How our processes are started: what Node and the C library take at the start only. */

const root = path.join(import.meta.dirname, '../..');

/** Types are stripped and scripts compiled once, and not at every start. Each entry is checked against its source. */
export const compileCache = path.join(root, 'node_modules/.cache/orchflow/node');

/**
 * Runs in a worker's threads before anything else. Where Node has no promise hooks, Temporal's SDK does without the stacks
 * that it else keeps for every promise of workflow code: a third of the time that a run takes there, and two thirds of
 * the memory. The SDK says so on the console, and logs are JSON.
 */
const noPromiseHooks = [
  `import { promiseHooks } from 'node:v8'`,
  `promiseHooks.createHook = () => { const { warn } = console; console.warn = () => {};` +
    ` queueMicrotask(() => (console.warn = warn)); throw new Error('Promise hooks are off, as WORKFLOW_STACKS is.') }`,
].join(';');

/** The flags of a worker that keeps no stacks. */
export const withoutStacks = [`--import=data:text/javascript,${encodeURIComponent(noPromiseHooks)}`];

/** So much may a heap grow between two collections, in percent of what is in use. */
export const heapGrowth = 40;

type Name = 'api' | 'worker' | 'migrate';
type Settings = Pick<Config, 'API_HEAP_MB' | 'WORKER_HEAP_MB' | 'WORKFLOW_STACKS'>;

/**
 * The flags of Node, and what is set in the environment unless it is set there. A heap is small at first and grows with
 * what is in use: V8 otherwise fills half a gigabyte before it looks what of it is. Only the settings bound it.
 */
export function startOptions(name: Name, settings: Settings) {
  const heap_mb = { api: settings.API_HEAP_MB, worker: settings.WORKER_HEAP_MB, migrate: undefined }[name];
  return {
    flags: [
      '--max-semi-space-size=4',
      '--initial-old-space-size=32',
      `--heap-growing-percent=${heapGrowth}`,
      ...(heap_mb ? [`--max-old-space-size=${heap_mb}`] : []),
      ...(name === 'worker' && !settings.WORKFLOW_STACKS ? withoutStacks : []),
    ],
    env: {
      // glibc otherwise keeps what was freed, in eight arenas for each core, and raises both thresholds when large blocks
      // are freed: bodies of requests and answers then leave holes that stay. An API reads into blocks of 64 KiB, each of which
      // goes back by itself: bodies of a mebibyte leave some 30 MiB of holes else, and cost 0.5 ms more so.
      MALLOC_ARENA_MAX: '2',
      MALLOC_MMAP_THRESHOLD_: name === 'api' ? '32768' : '131072',
      MALLOC_TRIM_THRESHOLD_: '131072',
      NODE_COMPILE_CACHE: compileCache,
    },
  };
}

/**
 * Starts this process again, under its own pid, with what it was started without: so it is the same whoever starts it.
 * Returns where nothing is missing. To be called before anything heavy is loaded.
 */
export function startAgain(name: Name, config: Config): void {
  const { flags, env } = startOptions(name, config);
  const missing = flags.filter((flag) => !process.execArgv.includes(flag));
  // Windows cannot replace a process. `npm start` gives the flags itself.
  if (missing.length === 0 || process.platform === 'win32' || !process.execve) return;
  const args = [process.execPath, ...process.execArgv, ...missing, ...process.argv.slice(1)];
  process.execve(process.execPath, args, { ...env, ...config.inherited });
}
