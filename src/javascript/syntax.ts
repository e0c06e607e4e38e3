import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { syntaxFault, type Source } from './sandbox.ts';
import { createThreads } from './threads.ts';

/** What is read here, in characters of all sources: some 25 ms at most. A class of a regex, `\p{L}`, takes 0.15 ms. */
const mostHere = 500;
/** What all of them together may take of a CPU in a thread, in microseconds. A mebibyte of plain code takes half of it. */
const mostCpu_us = 1_000_000;
/** How often it is looked at, in milliseconds. */
const interval_ms = 50;
/** Where a machine is so busy that the thread gets hardly any. A request has ended before that. */
const longest_ms = 10_000;
/** For so long a thread is waited for: a request has two seconds. Each takes some 100 ms where nothing is wrong. */
const patience_ms = 1_200;
/** Of two, one is for another account. */
const threads = createThreads(2, patience_ms);

/**
 * What is wrong with the syntax of each of these sources of the owner, an account; undefined of one that is right, or that was not read since
 * one before it took too long. Runs nothing. What is long is read in a thread: nothing interrupts the compiler.
 *
 * @throws NoThreadError when no thread was free in time.
 */
export async function syntaxFaults(owner: string, sources: Source[]): Promise<(string | undefined)[]> {
  const length = sources.reduce((sum, { code }) => sum + code.length, 0);
  if (length > mostHere) return threads.run(owner, undefined, () => inThread(sources));
  const faults: (string | undefined)[] = [];
  for (const source of sources) faults.push(await syntaxFault(source));
  return faults;
}

async function inThread(sources: Source[]): Promise<(string | undefined)[]> {
  const thread = new Worker(new URL('./syntax-thread.ts', import.meta.url), {
    workerData: sources,
    env: {},
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: 64 },
  });
  const faults: (string | undefined)[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const stop = (fault: string) => {
    faults.push(fault);
    resolve();
  };
  const stopping = new AbortController();
  thread.on('message', (fault: string | undefined) => {
    faults.push(fault);
    if (faults.length === sources.length) resolve();
  });
  thread.once('error', (error) => stop(`cannot be read: ${error.message.slice(0, 200)}`));
  thread.once('exit', () => stop('cannot be read'));
  void takesTooMuch(thread, stopping.signal).then((isTooMuch) => {
    if (isTooMuch) stop('takes too long to read: make it shorter');
  });
  try {
    await promise;
    return faults.slice(0, sources.length);
  } finally {
    stopping.abort();
    await thread.terminate();
  }
}

/** Whether the thread has taken more than it may before it has ended, or is looked at no more. */
async function takesTooMuch(thread: Worker, stop: AbortSignal): Promise<boolean> {
  const began = performance.now();
  while (performance.now() - began < longest_ms) {
    await sleep(interval_ms, undefined, { signal: stop }).catch(() => {});
    if (stop.aborted) return false;
    // It rejects until the thread runs, and when it has ended.
    const taken = await thread.cpuUsage().catch(() => undefined);
    if (taken && taken.user + taken.system > mostCpu_us) return true;
  }
  return true;
}
