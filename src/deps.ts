import type { Logger } from 'pino';
import type { Db } from '../db/index.ts';
import type { LiveSender } from '../db/live.ts';
import type { Config } from './config.ts';
import type { Deadline } from './deadline.ts';
import type { Engine } from './engine.ts';
import type { IdSeed } from './ids.ts';
import type { ModelTarget } from './llm/index.ts';
import type { Outbox } from './outbox.ts';
import type { RateLimits } from './rate-limits.ts';
import type { RunEvents } from './run-events.ts';
import type { Tool } from './tools/index.ts';

/** What the API works with. */
export type AppDeps = {
  db: Db;
  engine: Engine;
  outbox: Outbox;
  live: LiveSender;
  runEvents: RunEvents;
  config: Config;
  /** The operator's models, the default first. */
  managed: ModelTarget[];
  /** May go only where the operator allows it. */
  fetch: typeof fetch;
  /** Those that this server offers to everyone. */
  tools: Tool[];
  limits: RateLimits;
  log: Logger;
  version: string;
};

/** What a handler finds in `c.var`; `accountId` and `keyHash` behind the auth line. */
export type AppEnv = {
  Variables: {
    deps: AppDeps;
    requestId: string;
    deadline: Deadline;
    accountId: string;
    /** SHA-256 of the API key. */
    keyHash: string;
    idempotency?: IdSeed;
  };
};
