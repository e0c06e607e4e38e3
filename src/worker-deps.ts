import type { ActivityDeps } from '../activities/deps.ts';
import { createDb } from '../db/index.ts';
import { createLiveSender } from '../db/live.ts';
import type { Config } from './config.ts';
import { createGuardedFetch } from './fetch.ts';
import { managedModels } from './agents/managed.ts';
import { builtInTools } from './tools/index.ts';

/** Makes what the worker's activities work with. `close` ends all of it, once none is at work any more. */
export function createWorkerDeps(config: Config): { deps: ActivityDeps; close: () => Promise<void> } {
  const db = createDb(config.DATABASE_URL, config.DATABASE_POOL_SIZE);
  const guarded = createGuardedFetch({
    allowedPrivateCidrs: config.ORCHFLOW_ALLOWED_PRIVATE_CIDRS,
    headers_timeout_ms: config.LLM_TIMEOUT_SECONDS * 1000,
    idle_timeout_ms: config.LLM_IDLE_TIMEOUT_SECONDS * 1000,
    max_body_bytes: 16 * 1024 * 1024,
  });
  const deps: ActivityDeps = {
    db,
    live: createLiveSender(db),
    fetch: guarded.fetch,
    encryptionKey: config.ENCRYPTION_KEY,
    managed: managedModels(config),
    llm_timeout_ms: config.LLM_TIMEOUT_SECONDS * 1000,
    tools: builtInTools(config, guarded.fetch),
  };

  async function close(): Promise<void> {
    await Promise.all([db.destroy(), guarded.close()]);
  }

  return { deps, close };
}
