import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { Evaluation, Outcome } from './sandbox.ts';
import { createThreads } from './threads.ts';

/**
 * JavaScript that users and models write, run in QuickJS (WebAssembly): it sees its variables and nothing else, no
 * network, files, timers or modules. Each evaluation has a thread of its own, which ends with it, so that neither an
 * endless loop nor a memory bomb reaches the process.
 */

export { NoThreadError } from './threads.ts';
export { syntaxFaults } from './syntax.ts';
export type { Source } from './sandbox.ts';

/** `owner` is who shares the threads with others: an account. */
export type JavaScriptOptions = { owner: string; timeout_ms: number; signal?: AbortSignal; memory_bytes?: number };

/** Why the code has no result: what it threw, or the limit that it met. The message may be shown to whoever wrote it. */
export class JavaScriptError extends Error {
  override readonly name = 'JavaScriptError';
}

const defaultMemory = 64 * 1024 * 1024;
/** Each may have its memory: half of them are one account's. */
const maxThreads = Math.min(Math.max(4, 2 * availableParallelism()), 16);
/** For so long a thread is waited for here, in milliseconds. */
const patience = 5_000;
/** The interpreter stops itself at its deadline. What it cannot interrupt, or a thread that starts slowly, is stopped later. */
const grace_ms = 5_000;

const threads = createThreads(maxThreads, patience);

/**
 * Evaluates an expression (`state.score > 3`), or statements that `return` a value or assign it to `result`.
 * `variables` are JSON values, global in the code; the value comes back as JSON (`undefined` as null). `logs` are the
 * lines of `console.log`.
 *
 * @throws JavaScriptError when the code throws, or meets its time or memory limit; NoThreadError when it has not begun;
 * `signal.reason` when cancelled.
 */
export async function runJavaScript(
  code: string,
  variables: Record<string, unknown>,
  { owner, timeout_ms, signal, memory_bytes = defaultMemory }: JavaScriptOptions,
): Promise<{ value: unknown; logs: string[] }> {
  const outcome = await threads.run(owner, signal, () =>
    inThread({ code, variables, timeout_ms, memory_bytes }, signal),
  );
  if ('fault' in outcome) throw new JavaScriptError(outcome.fault);
  return outcome;
}

async function inThread(evaluation: Evaluation, signal: AbortSignal | undefined): Promise<Outcome> {
  const thread = new Worker(new URL('./thread.ts', import.meta.url), {
    workerData: evaluation,
    env: {},
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: 256 },
  });
  const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
  const timer = setTimeout(
    () => resolve({ fault: timeoutFault(evaluation.timeout_ms) }),
    evaluation.timeout_ms + grace_ms,
  );
  const cancel = () => reject(signal!.reason as Error);
  signal?.addEventListener('abort', cancel);
  thread.once('message', resolve);
  thread.once('error', (error) => resolve({ fault: String(error.message) }));
  thread.once('exit', () => resolve({ fault: 'The code ended without a result.' }));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', cancel);
    await thread.terminate();
  }
}

function timeoutFault(timeout_ms: number): string {
  return `The code did not end within ${timeout_ms / 1000} seconds.`;
}
