import type { ChildProcess } from 'node:child_process';
import { getPriority, setPriority } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import type { Ended, Job, Limits, Outcome } from './job.ts';
import { keepPrinted } from './printed.ts';
import { memoryOf, usageOf } from './processes.ts';

/** A job as a process of the host: fed, listened to, watched, and ended with all that came of it. */

export type Started = {
  /** Its process, in a group of its own, with a pipe for each descriptor that is written or read. It must take all its descendants along when it is killed. */
  begin: () => ChildProcess;
  stdin: string;
  /** Written to the descriptors from 3 on. */
  inputs?: string[];
  /** Bytes that are read from the descriptor after those. */
  reads_bytes?: number;
  /** Where a control group counts: what it says in place of /proc. */
  measure?: () => { cpu_ms: number; ran_out: boolean };
  /** Ends what the process does not take along. */
  killRest?: () => void;
};

/** How a job is heard. */
type Heard = Pick<Job, 'onOutput' | 'onCut' | 'secrets'>;

export type Ran = Omit<Outcome, 'files' | 'files_fault'> & {
  /** Undefined when there was more than may be read. */
  read: Buffer | undefined;
};

const lookEvery_ms = 50;
/** Until the pipes of a process that has ended are closed. */
const closing_ms = 2_000;

/**
 * Runs the process, and ends it at the limits.
 * @throws the error of `spawn` when there is no such program, and `signal.reason` when cancelled before it begins.
 */
export async function runProcess(
  { begin, stdin, inputs = [], reads_bytes, measure, killRest }: Started,
  { limits, signal, beforeStart, ...heard }: Pick<Job, 'limits' | 'signal' | 'beforeStart'> & Heard,
): Promise<Ran> {
  await beforeStart?.();
  signal?.throwIfAborted();
  const began = performance.now();
  const child = begin();
  stepBack(child);
  let ended: Ended | undefined;
  let cpu_ms = 0;

  const end = (how: Ended | undefined) => {
    ended ??= how;
    killGroup(child);
    killRest?.();
  };
  const look = () => {
    if (child.pid === undefined) return;
    // A control group counts better, and has ended one of its processes then.
    if (measure) {
      if (measure().ran_out) end('memory');
      return;
    }
    const usage = usageOf(child.pid);
    cpu_ms = Math.max(cpu_ms, usage.cpu_ms);
    // The exact one is dear.
    if (usage.memory_bytes > limits.memory_bytes && memoryOf(usage) > limits.memory_bytes) end('memory');
  };
  const cancel = () => end('cancelled');
  signal?.addEventListener('abort', cancel);
  const timer = setTimeout(() => end('time'), limits.wall_ms);
  const watching = setInterval(look, lookEvery_ms);
  const kept = listen(child, limits, heard, () => end('output'));
  const read = reads_bytes === undefined ? undefined : collect(child.stdio[3 + inputs.length] as Readable, reads_bytes);
  feed(child, stdin, inputs);
  try {
    const { code } = await exitOf(child, end);
    const measured = measure?.();
    if (measured?.ran_out) ended ??= 'memory';
    return {
      ended: ended ?? (code === null ? 'killed' : 'exited'),
      exit_code: ended === undefined ? code : null,
      stdout: kept.stdout.printed(),
      stderr: kept.stderr.printed(),
      wall_ms: Math.round(performance.now() - began),
      cpu_ms: Math.round(measured?.cpu_ms ?? cpu_ms),
      read: read?.(),
    };
  } finally {
    clearTimeout(timer);
    clearInterval(watching);
    signal?.removeEventListener('abort', cancel);
    end(undefined);
  }
}

/** It gives way to whatever answers; what comes of it does too. */
function stepBack({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) setPriority(pid, Math.min(getPriority() + 5, 19));
  } catch {
    // It has ended already.
  }
}

/** Its own group, so that nothing stays that it has started and not put elsewhere. */
function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // There is none of it any more.
  }
}

function listen(child: ChildProcess, limits: Limits, { onOutput, onCut, secrets }: Heard, flooded: () => void) {
  const keep = (stream: 'stdout' | 'stderr', keeps: 'beginning' | 'end') => {
    const kept = keepPrinted({
      kept_bytes: limits.output_bytes,
      keeps,
      secrets,
      onText: onOutput && ((text) => onOutput(stream, text)),
      onCut: () => onCut?.(stream),
    });
    child[stream]!.on('data', (chunk: Buffer) => kept.add(chunk) || flooded());
    child[stream]!.on('error', () => {});
    return kept;
  };
  return { stdout: keep('stdout', 'beginning'), stderr: keep('stderr', 'end') };
}

function collect(stream: Readable, most: number): () => Buffer | undefined {
  const chunks: Buffer[] = [];
  let size = 0;
  stream.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size <= most) chunks.push(chunk);
    else chunks.length = 0;
  });
  stream.on('error', () => {});
  return () => (size <= most ? Buffer.concat(chunks) : undefined);
}

/** Whoever does not read it to its end has closed it, which is no fault. */
function feed(child: ChildProcess, stdin: string, inputs: string[]): void {
  const pipes = [child.stdin!, ...inputs.map((_, index) => child.stdio[3 + index] as Writable)];
  for (const [index, text] of [stdin, ...inputs].entries()) {
    pipes[index]!.on('error', () => {});
    pipes[index]!.end(text);
  }
}

/** When it has ended, and all is read that it printed. */
async function exitOf(child: ChildProcess, end: (how: undefined) => void): Promise<{ code: number | null }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ code: number | null }>();
  let closing: NodeJS.Timeout | undefined;
  child.once('error', reject);
  child.once('exit', (code) => {
    end(undefined);
    // Whatever holds the pipes open besides is not waited for.
    closing = setTimeout(() => resolve({ code }), closing_ms);
  });
  child.once('close', (code) => resolve({ code }));
  return promise.finally(() => clearTimeout(closing));
}
