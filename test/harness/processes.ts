import { spawn, type ChildProcess } from 'node:child_process';
import path from 'node:path';
import { assertNoSecret } from './canaries.ts';
import { register, until, type Answer } from './client.ts';
import type { FakeModel } from '../fakes/model.ts';
import { startOptions } from '../../src/node/start.ts';
import { serverTiming } from './server-timing.ts';
import { startWorker, workerLines } from './worker.ts';

/** The api and worker processes as they are deployed, and workers that stand in for one. None outlives its test, however that ends. */

type Environment = Record<string, string>;
export type TestProcess = Awaited<ReturnType<typeof startWorkerProcess>>;

const root = path.join(import.meta.dirname, '../..');
const running = new Set<ChildProcess>();
/** `since`: how many lines had been logged when it began. */
const here: { env: Environment; since: number; worker: Awaited<ReturnType<typeof startWorker>> }[] = [];
/** Of all processes of the test, also of those that have ended. */
const logs: { script: string; env: Environment; log: () => string }[] = [];
process.once('exit', () => running.forEach((child) => child.kill('SIGKILL')));

// For the case that the tests themselves are killed: their end closes this pipe.
const dieWithTests = `data:text/javascript,${encodeURIComponent(
  `import { isMainThread } from 'node:worker_threads';
  if (isMainThread) process.stdin.on('end', () => process.kill(process.pid, 'SIGKILL')).resume().unref();`,
)}`;

/** For afterEach. Resolves when every process that the test started has ended. Fails when one has logged a secret. */
export async function killProcesses(): Promise<void> {
  await Promise.all([
    ...[...running].map((child) => kill(child, 'SIGKILL')),
    ...here.map(({ worker }) => worker.stop()),
  ]);
  for (const { env, since } of here.splice(0))
    assertNoSecret(workerLines.slice(since).join('\n'), 'the log of a worker', env);
  for (const { script, env, log } of logs.splice(0)) assertNoSecret(log(), `the log of ${script}`, env);
}

/** For afterEach: `killProcesses`, and the end of the model that they asked. Fails when it was asked what no test scripted. */
export async function endProcesses(model: FakeModel): Promise<void> {
  await killProcesses();
  await model.close();
  model.assertNothingUnscripted();
}

/** Starts `src/worker.ts`. Resolves when it takes work. */
export function startWorkerProcess(env: Environment) {
  return start('worker', env, 'worker started');
}

/** A worker in this process, for what only goes on with it: it cannot be killed, and costs a third. It ends with the test. */
export async function startWorkerHere(env: Environment): Promise<void> {
  const since = workerLines.length;
  here.push({ env, since, worker: await startWorker(env) });
}

/** Starts `src/api.ts`. Resolves when it listens. Its users live on when another API takes its port. */
export async function startApiProcess(env: Environment) {
  const api = await start('api', env, 'listening');
  const { port } = JSON.parse(
    api
      .log()
      .split('\n')
      .find((line) => line.includes('"listening"'))!,
  );
  const url = `http://127.0.0.1:${port}`;
  const health = async () => {
    const response = await fetch(`${url}/health`);
    return { status: response.status, headers: response.headers, body: await response.json() };
  };
  return { ...api, url, port: String(port), health, register: () => register(url) };
}

/** Whatever the machine does besides, an answer is not so late, in milliseconds. */
const latest = 30_000;

/**
 * Rejects when the answer was not there in the three seconds that are promised, by the clock of the API itself, or when
 * that clock cannot be right.
 */
export async function promptly(answer: Promise<Answer>): Promise<Answer> {
  const asked = performance.now();
  const given = await answer;
  const { app = Infinity, wait = 0 } = serverTiming(given.headers);
  if (app > 3_000) throw new Error(`The answer took ${app} ms.`);
  const took = performance.now() - asked - wait;
  if (took > latest) throw new Error(`The answer says that it took ${app} ms, and was there after ${took}.`);
  return given;
}

/**
 * As `npm start` gives them, so that the process need not start itself again: that is a fifth of what its start costs.
 * With settings that change them it does so itself.
 */
function optionsOf(name: 'api' | 'worker', { API_HEAP_MB, WORKER_HEAP_MB, WORKFLOW_STACKS }: Environment) {
  if (API_HEAP_MB ?? WORKER_HEAP_MB ?? WORKFLOW_STACKS) return { flags: [], env: {} };
  return startOptions(name, { API_HEAP_MB: undefined, WORKER_HEAP_MB: undefined, WORKFLOW_STACKS: false });
}

async function start(name: 'api' | 'worker', env: Environment, readyMessage: string) {
  const script = `src/${name}.ts`;
  const options = optionsOf(name, env);
  const child = spawn(process.execPath, [...options.flags, '--import', dieWithTests, path.join(root, script)], {
    env: { ...options.env, ...env, LOG_LEVEL: env.LOG_LEVEL === 'debug' ? 'debug' : 'info' },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  running.add(child);
  let log = '';
  logs.push({ script, env, log: () => log });
  let ended: string | undefined;
  const exited = new Promise<string>((resolve) =>
    child.once('close', (code, signal) => {
      running.delete(child);
      ended = signal ?? `exit code ${code}`;
      resolve(ended);
    }),
  );
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => void (log += chunk.toString()));

  await until(
    () => ended !== undefined || log.includes(`"${readyMessage}"`),
    () => `${script} ${readyMessage}\n${log}`,
  );
  if (ended !== undefined) throw new Error(`${script} ended at once (${ended}):\n${log}`);
  return {
    pid: child.pid!,
    /** How it ended: "SIGKILL", "exit code 0". */
    exited,
    isRunning: () => ended === undefined,
    /** All that it wrote. */
    log: () => log,
    /** Nobody reads its log any more. */
    closeLog() {
      child.stdout.destroy();
      child.stderr.destroy();
    },
    /** Sends a signal that does not end it, such as SIGSTOP. */
    signal: (signal: NodeJS.Signals) => void child.kill(signal),
    /** Ends it. Resolves with how it ended. */
    kill: (signal: NodeJS.Signals = 'SIGKILL') => kill(child, signal).then(() => exited),
  };
}

async function kill(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (!running.has(child)) return;
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  child.kill(signal);
  await closed;
}
