import type { Logger } from 'pino';
import { createDb } from '../db/index.ts';
import { createLiveSender } from '../db/live.ts';
import type { Config } from './config.ts';
import type { AppDeps } from './deps.ts';
import { createEngine } from './temporal/engine.ts';
import { createGuardedFetch } from './fetch.ts';
import { startHousekeeping } from './housekeeping.ts';
import { managedModels } from './agents/managed.ts';
import { createOutbox } from './temporal/outbox.ts';
import { createRateLimits } from './http/rate-limits.ts';
import { createRunEvents } from './runs/events.ts';
import { createTemporalClient } from './temporal/client.ts';
import { builtInTools } from './tools/index.ts';

/**
 * Starts what the API works with. `close` ends all of it, once nothing is answered any more and `runEvents` is stopped:
 * what is being delivered to Temporal is awaited.
 */
export function startAppDeps({ config, log, version }: { config: Config; log: Logger; version: string }) {
  const db = createDb(config.DATABASE_URL, config.DATABASE_POOL_SIZE);
  const client = createTemporalClient(config);
  const { TEMPORAL_TASK_QUEUE: taskQueue, RUN_HISTORY_LIMIT: historyLimit } = config;
  const engine = createEngine({ client, db, taskQueue, historyLimit });
  const outbox = createOutbox({ db, engine, log });
  const limits = createRateLimits(config);
  const guarded = createGuardedFetch({
    allowedPrivateCidrs: config.ORCHFLOW_ALLOWED_PRIVATE_CIDRS,
    headers_timeout_ms: 10_000,
    idle_timeout_ms: 10_000,
    max_body_bytes: 4 * 1024 * 1024,
  });
  const housekeeping = startHousekeeping({ db, log });
  const deps: AppDeps = {
    db,
    engine,
    outbox,
    live: createLiveSender(db),
    runEvents: createRunEvents({ db, url: config.DATABASE_URL, log }),
    config,
    managed: managedModels(config),
    fetch: guarded.fetch,
    tools: builtInTools(config, guarded.fetch),
    limits,
    log,
    version,
  };

  async function close(): Promise<void> {
    await Promise.all([outbox.stop(), housekeeping.stop()]);
    await Promise.all([client.connection.close(), db.destroy(), limits.close(), guarded.close()]);
  }

  return { deps, client, close };
}
