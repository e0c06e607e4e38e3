import { flushCompileCache } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig } from './config.ts';
import { untilReleased } from './node/held.ts';
import { startAgain } from './node/start.ts';

/** The worker process: workflows and activities. SIGTERM lets calls in flight end for a while, then hands them over. */
const config = loadConfig();
startAgain('worker', config);

const [
  { DefaultLogger, makeTelemetryFilterString, NativeConnection, Runtime, Worker },
  { pino, stdSerializers },
  { createActivities },
  { createCodeActivities },
  { mostWaiting },
  { startCodeRuntime },
  { requireEncryptionKey },
  { connectionOptions, dataConverter },
  { codeDepsOf, startWorkerDeps },
  { workerOptions },
  { workflowBundle },
] = await Promise.all([
  import('@temporalio/worker'),
  import('pino'),
  import('../activities/index.ts'),
  import('../activities/code-runs.ts'),
  import('../activities/lent-places.ts'),
  import('./code/runtime.ts'),
  import('./accounts/encryption-key.ts'),
  import('./temporal/client.ts'),
  import('./worker-deps.ts'),
  import('./temporal/worker-options.ts'),
  import('./temporal/workflow-bundle.ts'),
]);

// The SDK logs failures as `error`.
const log = pino({ level: config.LOG_LEVEL, name: 'worker', serializers: { error: stdSerializers.err } });
Runtime.install({
  logger: new DefaultLogger('INFO', ({ level, message, meta }) => {
    const isExpected = level === 'TRACE' || message.startsWith('No workflows registered'); // the worker of code has none
    const severity = isExpected ? 'debug' : (level.toLowerCase() as 'debug' | 'info' | 'warn' | 'error');
    log[severity](meta ?? {}, message);
  }),
  telemetryOptions: { logging: { filter: makeTelemetryFilterString({ core: 'WARN' }), forward: {} } },
  shutdownSignals: [],
});

const stopping = new AbortController();

/** Temporal may come up after us. */
async function connect() {
  for (;;) {
    try {
      return await NativeConnection.connect(connectionOptions(config));
    } catch (error) {
      log.warn({ reason: (error as Error).message }, 'Temporal cannot be reached; trying again');
      await sleep(1_000);
    }
  }
}

await untilReleased();
await requireEncryptionKey(config, log);
const tasks = config.WORKER_TASKS;
const bundled = tasks === 'code' ? undefined : workflowBundle({ encrypts: config.PAYLOAD_ENCRYPTION });
const [connection, bundle] = await Promise.all([connect(), bundled]);
const { deps, close } = startWorkerDeps({ config, log });
const common = { connection, namespace: config.TEMPORAL_NAMESPACE, dataConverter: dataConverter(config) };
const workers: Awaited<ReturnType<typeof Worker.create>>[] = [];
const running: Promise<void>[] = [];

/** One that was told to stop while it was made stops at once. */
function start(worker: (typeof workers)[number]): void {
  workers.push(worker);
  running.push(worker.run());
  if (stopping.signal.aborted) worker.shutdown();
}

for (const signal of ['SIGTERM', 'SIGINT']) {
  // npm and terminals may send both; a worker that is shutting down already refuses to do it again.
  process.on(signal, () => {
    stopping.abort();
    for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
  });
}

if (bundle) {
  const worker = await Worker.create({
    ...common,
    ...workerOptions(config.WORKER_PLACES),
    workflowBundle: bundle,
    maxCachedWorkflows: config.WORKER_CACHED_RUNS,
    taskQueue: config.TEMPORAL_TASK_QUEUE,
    activities: createActivities(deps),
  });
  start(worker);
}
log.info({ task_queue: config.TEMPORAL_TASK_QUEUE }, 'worker started');
flushCompileCache();

// The sandbox is tried first, which takes a second or two.
const code = tasks === 'no_code' ? undefined : await startCodeRuntime(config, deps);
if (code?.runtime && !stopping.signal.aborted) {
  const worker = await Worker.create({
    ...common,
    ...workerOptions(config.SANDBOX_PLACES * (1 + mostWaiting)),
    taskQueue: `${config.TEMPORAL_TASK_QUEUE}-code`,
    activities: createCodeActivities(codeDepsOf(config, deps, code.runtime)),
  });
  start(worker);
}
if (running.length === 0 && !stopping.signal.aborted)
  await new Promise((stop) => stopping.signal.addEventListener('abort', stop));
await Promise.all(running);
await code?.close();
await close();
await connection.close();
process.exit(0);
