import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { createThreads, NoThreadError } from '../javascript/threads.ts';
import { extractionMemory_mb, extractionTimeout_ms } from './bounds.ts';
import type { Beginning, Reading, Told } from './read.ts';
import type { Said } from './thread.ts';
import { TooSlow, Unreadable } from './unreadable.ts';

/**
 * What documents say, read in a thread of its own for each, with an end to its time and to its memory: neither a file that is made
 * to blow up nor a parser that never ends reaches the process.
 */

export { formatNames, formatOf, type Format } from './formats.ts';
export { TooSlow, Unreadable } from './unreadable.ts';
export { wordsOf } from './words.ts';

/** How often it is looked at what a thread has taken. */
const interval_ms = 50;
/** Each may have its memory. Of two, one is for another account. */
const maxThreads = 2;
/** For so long a thread is waited for here, in milliseconds. */
const patience = 60_000;

/** Of an account. Each that waits keeps a worker from other work, so those beyond are put off. */
const mostWaiting = 2;

const threads = createThreads(maxThreads, patience, mostWaiting);

/** What is read; its bytes are asked for once there is a thread for them, so that those that wait are in no memory. */
export type Unread = Pick<Reading, 'format'> & { readBytes: () => Promise<Uint8Array> };

/**
 * Reads the passages of a document of the owner, an account. `tell` hears each part of it, in their order; the bytes are gone afterwards.
 * @throws Unreadable when it cannot be read, or meets its bounds; NoThreadError when it has not begun; `signal.reason` when cancelled.
 */
export function extract(
  owner: string,
  { format, readBytes }: Unread,
  tell: (told: Told) => void,
  signal: AbortSignal,
): Promise<void> {
  return threads.run(owner, signal, async () =>
    inThread({ format, bytes: await readBytes() }, extractionTimeout_ms, tell, signal),
  );
}

/**
 * Reads the beginning of the text of a document of the owner, of `most` characters. It waits for so long for a thread, and
 * has so long again to be read, in milliseconds. Throws as `extract`, and `TooSlow`.
 */
export async function extractText(
  owner: string,
  { format, readBytes }: Unread,
  { most, timeout_ms }: { most: number; timeout_ms: number },
  signal: AbortSignal,
): Promise<Beginning> {
  const waiting = new AbortController();
  const timer = setTimeout(() => waiting.abort(new NoThreadError('All threads are at work.')), timeout_ms);
  const told: Beginning[] = [];
  await threads
    .run(owner, AbortSignal.any([signal, waiting.signal]), async () => {
      clearTimeout(timer);
      const reading = { format, bytes: await readBytes(), most };
      await inThread(reading, timeout_ms, (beginning: Beginning) => told.push(beginning), signal);
    })
    .finally(() => clearTimeout(timer));
  return told[0]!;
}

/** What it tells is what the reading asks for. */
async function inThread<T extends Told | Beginning>(
  reading: Reading,
  timeout_ms: number,
  tell: (told: T) => void,
  signal: AbortSignal,
): Promise<void> {
  const thread = new Worker(new URL('./thread.ts', import.meta.url), {
    workerData: reading,
    transferList: [reading.bytes.buffer as ArrayBuffer],
    env: {},
    execArgv: ['--disable-warning=ExperimentalWarning'],
    stdout: true,
    stderr: true,
    resourceLimits: { maxOldGenerationSizeMb: extractionMemory_mb, stackSizeMb: 4 },
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const stopping = new AbortController();
  const timer = setTimeout(() => reject(new TooSlow(timeout_ms)), timeout_ms);
  const cancel = () => reject(signal.reason as Error);
  signal.addEventListener('abort', cancel);
  thread.on('message', (said: Said) => {
    if ('told' in said) tell(said.told as T);
    else if ('fault' in said) reject(new Unreadable(said.fault));
    else resolve();
  });
  thread.once('error', (error: Error & { code?: string }) => {
    const fault =
      error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? tooMuch : `It cannot be read: ${error.message.slice(0, 200)}`;
    reject(new Unreadable(fault));
  });
  thread.once('exit', () => reject(new Unreadable('It cannot be read: its reader ended without a word.')));
  watchMemory(thread, stopping.signal).catch(reject);
  try {
    await promise;
  } finally {
    stopping.abort();
    clearTimeout(timer);
    signal.removeEventListener('abort', cancel);
    await thread.terminate();
  }
}

const tooMuch = `It needs more memory to be read than ${extractionMemory_mb} MiB.`;

/** The limit of a thread's heap does not count buffers, which is where archives and streams are unpacked. */
async function watchMemory(thread: Worker, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    await sleep(interval_ms, undefined, { signal: stop }).catch(() => {});
    // It has ended when there are none.
    const heap = await thread.getHeapStatistics().catch(() => undefined);
    if (!heap || heap.used_heap_size + heap.external_memory < extractionMemory_mb * 1024 * 1024) continue;
    void thread.terminate();
    throw new Unreadable(tooMuch);
  }
}
