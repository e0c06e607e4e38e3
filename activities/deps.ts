import type { Db } from '../db/index.ts';
import type { LiveSender } from '../db/live.ts';
import type { KeyRing } from '../src/crypto.ts';
import type { ModelTarget } from '../src/llm/index.ts';
import type { Tool } from '../src/tools/index.ts';

/** What activities work with. */
export type ActivityDeps = {
  db: Db;
  live: LiveSender;
  encryptionKey: KeyRing;
  /** The operator's models, the default first. They serve runs that name no provider. */
  managed: ModelTarget[];
  /** May go only where the operator allows it. */
  fetch: typeof fetch;
  llm_timeout_ms: number;
  /** Those that this server offers to everyone. */
  tools: Tool[];
};
