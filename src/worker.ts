import { setTimeout as sleep } from 'node:timers/promises';
import { DefaultLogger, makeTelemetryFilterString, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { pino, stdSerializers } from 'pino';
import { createActivities } from '../activities/index.ts';
import { createDb } from '../db/index.ts';
import { createLiveSender } from '../db/live.ts';
import { loadConfig } from './config.ts';
import { createGuardedFetch } from './fetch.ts';
import { managedModels } from './managed.ts';
import { connectionOptions, dataConverter } from './temporal.ts';
import { builtInTools } from './tools/index.ts';
import { workerOptions } from './worker-options.ts';

/** The worker process: workflows and activities. SIGTERM lets calls in flight end for a while, then hands them over. */
const config = loadConfig();
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

const db = createDb(config.DATABASE_URL, config.DATABASE_POOL_SIZE);
const { fetch } = createGuardedFetch({
  allowedPrivateCidrs: config.ORCHFLOW_ALLOWED_PRIVATE_CIDRS,
  headers_timeout_ms: config.LLM_TIMEOUT_SECONDS * 1000,
  idle_timeout_ms: config.LLM_IDLE_TIMEOUT_SECONDS * 1000,
  max_body_bytes: 16 * 1024 * 1024,
});
const activities = createActivities({
  db,
  live: createLiveSender(db),
  fetch,
  encryptionKey: config.ENCRYPTION_KEY,
  managed: managedModels(config),
  llm_timeout_ms: config.LLM_TIMEOUT_SECONDS * 1000,
  tools: builtInTools(config, fetch),
});

/** Temporal may come up after us. */
async function connect(): Promise<NativeConnection> {
  for (;;) {
    try {
      return await NativeConnection.connect(connectionOptions(config));
    } catch (error) {
      log.warn({ reason: (error as Error).message }, 'Temporal cannot be reached; trying again');
      await sleep(1_000);
    }
  }
}

const connection = await connect();
const worker = await Worker.create({
  ...workerOptions,
  connection,
  namespace: config.TEMPORAL_NAMESPACE,
  taskQueue: config.TEMPORAL_TASK_QUEUE,
  activities,
  dataConverter: dataConverter(config),
});
for (const signal of ['SIGTERM', 'SIGINT']) {
  // npm and terminals may send both; a worker that is shutting down already refuses to do it again.
  process.on(signal, () => worker.getState() === 'RUNNING' && worker.shutdown());
}
log.info({ task_queue: config.TEMPORAL_TASK_QUEUE }, 'worker started');
await worker.run();
await Promise.all([connection.close(), db.destroy()]);
process.exit(0);
