import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import packageJson from '../package.json' with { type: 'json' };
import { createDb } from '../db/index.ts';
import { createLiveSender } from '../db/live.ts';
import { createApp } from './app.ts';
import { loadConfig } from './config.ts';
import { createEngine } from './engine.ts';
import { createGuardedFetch } from './fetch.ts';
import { startHousekeeping } from './housekeeping.ts';
import { listen } from './listen.ts';
import { managedModels } from './managed.ts';
import { createOutbox } from './outbox.ts';
import { createRateLimits } from './rate-limits.ts';
import { createRunEvents } from './run-events.ts';
import { createTemporalClient } from './temporal.ts';
import { builtInTools } from './tools/index.ts';

/** The API process. */
const config = loadConfig();
const log = pino({ level: config.LOG_LEVEL, name: 'api' });
const db = createDb(config.DATABASE_URL, config.DATABASE_POOL_SIZE);
const client = createTemporalClient(config);
const { TEMPORAL_TASK_QUEUE: taskQueue, RUN_HISTORY_LIMIT: historyLimit } = config;
const engine = createEngine({ client, db, taskQueue, historyLimit });
const outbox = createOutbox({ db, engine, log });
const runEvents = createRunEvents({ db, url: config.DATABASE_URL, log });
const limits = createRateLimits(config);
const { fetch } = createGuardedFetch({
  allowedPrivateCidrs: config.ORCHFLOW_ALLOWED_PRIVATE_CIDRS,
  headers_timeout_ms: 10_000,
  idle_timeout_ms: 10_000,
  max_body_bytes: 4 * 1024 * 1024,
});
const app = createApp({
  db,
  engine,
  outbox,
  live: createLiveSender(db),
  runEvents,
  config,
  managed: managedModels(config),
  fetch,
  tools: builtInTools(config, fetch),
  limits,
  log,
  version: packageJson.version,
});

const housekeeping = startHousekeeping({ db, log });

const server = listen(app, config);
server.on('listening', () => log.info({ port: (server.address() as AddressInfo).port }, 'listening'));
server.on('error', (error) => {
  log.fatal({ err: error }, 'cannot listen');
  process.exit(1);
});

/** Takes no more requests, and answers those that it has for at most ten seconds. */
async function stop(): Promise<void> {
  const answered = new Promise((resolve) => server.close(resolve));
  await runEvents.stop();
  // A connection that is kept alive is idle only between two requests.
  const closing = setInterval(() => 'closeIdleConnections' in server && server.closeIdleConnections(), 20);
  await Promise.race([answered, sleep(10_000)]);
  clearInterval(closing);
  await Promise.all([outbox.stop(), housekeeping.stop()]);
  await Promise.all([client.connection.close(), db.destroy(), limits.close()]);
  process.exit(0);
}
process.once('SIGTERM', () => void stop());
process.once('SIGINT', () => void stop());
