import type { Logger } from 'pino';
import type { CodeDeps } from '../activities/code-runs.ts';
import type { ActivityDeps } from '../activities/deps.ts';
import { createLentPlaces } from '../activities/lent-places.ts';
import { createPlaces } from '../activities/places.ts';
import { createDb } from '../db/index.ts';
import { createLiveSender } from '../db/live.ts';
import { managedModels, offersManaged } from './agents/managed.ts';
import { runCodeTool } from './code/run-code-tool.ts';
import type { CodeRuntime } from './code/runtime.ts';
import type { Config } from './config.ts';
import { createRunEngine } from './engine.ts';
import { createGuardedFetch } from './fetch/index.ts';
import { createFileStore } from './files/create-store.ts';
import { fileQuotasOf } from './files/keep.ts';
import { createVectorCache } from './knowledge/vectors.ts';
import { createTemporalClient } from './temporal/client.ts';
import { createOperators } from './temporal/operators.ts';
import { createOutbox } from './temporal/outbox.ts';
import { builtInTools } from './tools/index.ts';
import { createCourier } from './webhooks/courier.ts';

/**
 * Starts what the worker's activities work with, also what starts runs: an outbox of its own brings to Temporal what was
 * committed, with no API there. `close` ends all of it, once no activity is at work any more.
 */
export function startWorkerDeps({ config, log }: { config: Config; log: Logger }): {
  deps: ActivityDeps;
  close: () => Promise<void>;
} {
  const db = createDb(config.DATABASE_URL, config.DATABASE_POOL_SIZE);
  // One of its own: on a worker's connection a deadline is that of each try, and tries go on for ten seconds.
  const client = createTemporalClient(config);
  const outbox = createOutbox({
    db,
    engine: createRunEngine({ config, db, client }),
    log,
    maxActiveRuns: config.MAX_ACTIVE_RUNS_PER_ACCOUNT,
  });
  const reach = {
    allowedPrivateCidrs: config.ORCHFLOW_ALLOWED_PRIVATE_CIDRS,
    headers_timeout_ms: config.LLM_TIMEOUT_SECONDS * 1000,
    idle_timeout_ms: config.LLM_IDLE_TIMEOUT_SECONDS * 1000,
    max_body_bytes: 16 * 1024 * 1024,
  };
  const guarded = createGuardedFetch(reach);
  const operators = createGuardedFetch({ ...reach, ownOrigins: config.ownOrigins });
  // Of one account at most 20 webhooks at once.
  const webhooks = {
    db,
    fetch: guarded.fetch,
    encryptionKey: config.ENCRYPTION_KEY,
    places: createPlaces(100, 1 / 4),
    log,
  };
  const courier = createCourier(webhooks);
  const deps: ActivityDeps = {
    db,
    courier,
    live: createLiveSender(db),
    operators: createOperators(client),
    outbox,
    files: createFileStore(config),
    vectors: createVectorCache(config.KNOWLEDGE_CACHE_MB * 1024 * 1024),
    log,
    quotas: config,
    fetch: guarded.fetch,
    operatorFetch: operators.fetch,
    checkAddress: guarded.checkAddress,
    encryptionKey: config.ENCRYPTION_KEY,
    managed: managedModels(config),
    offersManaged: offersManaged(config),
    managedBesides: config.MANAGED_MODELS,
    minReminderSeconds: config.REMIND_EVERY_MIN_SECONDS,
    managedLimits: {
      run: config.MANAGED_MAX_COST_USD_PER_RUN,
      account: config.MANAGED_MAX_COST_USD_PER_ACCOUNT,
      server: config.MANAGED_MAX_COST_USD,
    },
    reminderRate: { name: 'reminders', most: config.REMINDER_LIMIT_PER_HOUR, seconds: 3_600 },
    searchRate: { name: 'web searches', most: config.WEB_SEARCH_LIMIT_PER_DAY, seconds: 24 * 3_600 },
    llm_timeout_ms: config.LLM_TIMEOUT_SECONDS * 1000,
    // Of one account that is alone, at most four in five.
    places: createPlaces(config.WORKER_PLACES, 4, mostHeld(config) * 1024 * 1024),
    max_value_length: config.MAX_STATE_VALUE_CHARACTERS,
    max_run_bytes: config.MAX_RUN_TEXT_BYTES,
    tools: [...builtInTools(config, operators.fetch), runCodeTool()],
  };

  async function close(): Promise<void> {
    await Promise.all([outbox.stop(), courier.stop()]);
    await Promise.all([client.connection.close(), db.destroy(), guarded.close(), operators.close()]);
  }

  return { deps, close };
}

/** Of what the work of an account holds at once, in MiB. */
function mostHeld({ MAX_WORK_MB_PER_ACCOUNT, WORKER_HEAP_MB = 1_024 }: Config): number {
  return MAX_WORK_MB_PER_ACCOUNT ?? WORKER_HEAP_MB / 4;
}

/** The same for what runs code, with places of its own. */
export function codeDepsOf(
  config: Pick<Config, 'SANDBOX_PLACES' | 'MAX_FILES_PER_ACCOUNT' | 'MAX_FILE_BYTES_PER_ACCOUNT'>,
  deps: ActivityDeps,
  code: CodeRuntime,
): CodeDeps {
  const fileQuotas = fileQuotasOf(config);
  const tools = [runCodeTool({ ...deps, fileQuotas, runtime: code })];
  const places = createPlaces(config.SANDBOX_PLACES, 4);
  return { ...deps, code, tools, places, lend: createLentPlaces(deps.db) };
}
