import { flushCompileCache } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig } from './config.ts';
import { startAgain } from './node/start.ts';

/** The worker process: workflows and activities. SIGTERM lets calls in flight end for a while, then hands them over. */
const config = loadConfig();
startAgain('worker', config);

const [
  { DefaultLogger, makeTelemetryFilterString, NativeConnection, Runtime, Worker },
  { pino, stdSerializers },
  { createActivities },
  { requireEncryptionKey },
  { connectionOptions, dataConverter },
  { startWorkerDeps },
  { workerOptions },
  { workflowBundle },
] = await Promise.all([
  import('@temporalio/worker'),
  import('pino'),
  import('../activities/index.ts'),
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
    const severity = level === 'TRACE' ? 'debug' : (level.toLowerCase() as 'debug' | 'info' | 'warn' | 'error');
    log[severity](meta ?? {}, message);
  }),
  telemetryOptions: { logging: { filter: makeTelemetryFilterString({ core: 'WARN' }), forward: {} } },
  shutdownSignals: [],
});

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

await requireEncryptionKey(config, log);
const bundled = workflowBundle({ encrypts: config.PAYLOAD_ENCRYPTION });
const [connection, bundle] = await Promise.all([connect(), bundled]);
const { deps, close } = startWorkerDeps({ config, log });
const worker = await Worker.create({
  ...workerOptions(config.WORKER_PLACES),
  workflowBundle: bundle,
  maxCachedWorkflows: config.WORKER_CACHED_RUNS,
  connection,
  namespace: config.TEMPORAL_NAMESPACE,
  taskQueue: config.TEMPORAL_TASK_QUEUE,
  activities: createActivities(deps),
  dataConverter: dataConverter(config),
});
for (const signal of ['SIGTERM', 'SIGINT']) {
  // npm and terminals may send both; a worker that is shutting down already refuses to do it again.
  process.on(signal, () => worker.getState() === 'RUNNING' && worker.shutdown());
}
log.info({ task_queue: config.TEMPORAL_TASK_QUEUE }, 'worker started');
flushCompileCache();
await worker.run();
await close();
await connection.close();
process.exit(0);
