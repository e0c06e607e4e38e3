import type { Logger } from 'pino';
import { createDb } from '../db/index.ts';
import { createLiveSender, type LiveSender } from '../db/live.ts';
import { managedModels, offersManaged } from './agents/managed.ts';
import { runCodeTool } from './code/run-code-tool.ts';
import { endOrphans } from './calls/orphans.ts';
import type { Config } from './config.ts';
import { createRunEngine } from './engine.ts';
import { createGuardedFetch } from './fetch/index.ts';
import { createFileStore } from './files/create-store.ts';
import type { FileStore } from './files/store.ts';
import { keepHouse } from './housekeeping.ts';
import { createOpenAnswers, type OpenAnswers } from './http/open-answers.ts';
import { createRateLimits, type RateLimits } from './http/rate-limits.ts';
import { createUnread, type Unread } from './http/unread.ts';
import { createAssigner, type Assigner } from './people/assigner.ts';
import { createRunEvents, type RunEvents } from './runs/events.ts';
import { createVectorCache, type VectorCache } from './knowledge/vectors.ts';
import type { GoalDeps } from './runs/goals.ts';
import { createTemporalClient } from './temporal/client.ts';
import type { Engine } from './temporal/engine.ts';
import { endLost } from './temporal/lost.ts';
import { createOutbox } from './temporal/outbox.ts';
import { removePurged } from './temporal/purged.ts';
import { builtInTools } from './tools/index.ts';

/** What the API works with. */
export type AppDeps = GoalDeps & {
  engine: Engine;
  live: LiveSender;
  assigner: Assigner;
  runEvents: RunEvents;
  config: Config;
  /** For the URLs of accounts: may go only where the operator allows it. */
  fetch: typeof fetch;
  limits: RateLimits;
  openAnswers: OpenAnswers;
  unread: Unread;
  /** How many files an account sends at once. */
  uploads: OpenAnswers;
  /** How many batches of an account are under way at once. */
  batches: OpenAnswers;
  files: FileStore;
  vectors: VectorCache;
  /** How many searches of an account are under way at once. */
  searches: OpenAnswers;
  log: Logger;
  version: string;
};

/** Of an account, in one process: a search may ask the account's model, which may be slow. */
const searchesAtOnce = 10;

/**
 * Starts what the API works with. `close` ends all of it, once nothing is answered any more and `runEvents` is stopped:
 * what is being delivered to Temporal is awaited.
 */
export function startAppDeps({ config, log, version }: { config: Config; log: Logger; version: string }) {
  const db = createDb(config.DATABASE_URL, config.DATABASE_POOL_SIZE);
  const client = createTemporalClient(config);
  const engine = createRunEngine({ config, db, client });
  const outbox = createOutbox({ db, engine, log, maxActiveRuns: config.MAX_ACTIVE_RUNS_PER_ACCOUNT });
  const limits = createRateLimits(config);
  const guarded = createGuardedFetch({
    allowedPrivateCidrs: config.ORCHFLOW_ALLOWED_PRIVATE_CIDRS,
    headers_timeout_ms: 10_000,
    idle_timeout_ms: 10_000,
    // A page of the tools of an MCP server: twice what is kept of them all.
    max_body_bytes: 1024 * 1024,
  });
  const files = createFileStore(config);
  const live = createLiveSender(db);
  const assigner = createAssigner({ db, live, log });
  const stopping = new AbortController();
  const upkeep = [
    keepHouse({ db, files, log, config }, stopping.signal),
    endLost({ db, engine, outbox, log }, stopping.signal),
    endOrphans({ db, outbox, live, log }, stopping.signal),
    removePurged({ db, engine, outbox, log }, stopping.signal),
  ];
  const deps: AppDeps = {
    db,
    engine,
    outbox,
    live,
    assigner,
    runEvents: createRunEvents({ db, url: config.DATABASE_URL, log }),
    config,
    quotas: config,
    managed: managedModels(config),
    offersManaged: offersManaged(config),
    managedBesides: config.MANAGED_MODELS,
    minReminderSeconds: config.REMIND_EVERY_MIN_SECONDS,
    fetch: guarded.fetch,
    checkAddress: guarded.checkAddress,
    // The API lists them, and calls none.
    tools: [...builtInTools(config, guarded.fetch), runCodeTool()],
    limits,
    openAnswers: createOpenAnswers(config.MAX_OPEN_ANSWERS_PER_ACCOUNT),
    unread: createUnread(),
    uploads: createOpenAnswers(config.MAX_UPLOADS_PER_ACCOUNT),
    // Each holds 8 MiB of answers at most.
    batches: createOpenAnswers(10),
    files,
    vectors: createVectorCache(config.KNOWLEDGE_CACHE_MB * 1024 * 1024),
    searches: createOpenAnswers(searchesAtOnce),
    log,
    version,
  };

  async function close(): Promise<void> {
    stopping.abort();
    await Promise.all([outbox.stop(), assigner.stop(), ...upkeep]);
    // What upkeep has sent meanwhile.
    await outbox.stop();
    await Promise.all([client.connection.close(), db.destroy(), limits.close(), guarded.close()]);
  }

  return { deps, client, close };
}
