import type { Db } from '../db/index.ts';
import type { ModelTarget } from '../src/llm/index.ts';
import { createAnswerActivities } from './answers.ts';
import { createPlanningActivities } from './planning.ts';
import { createTaskActivities } from './tasks.ts';
import { createWebhookActivities } from './webhooks.ts';

export type ActivityDeps = {
  db: Db;
  encryptionKey: Buffer;
  /** The operator's models, the default first. They serve runs that name no provider. */
  managed: ModelTarget[];
  /** May go only where the operator allows it. */
  fetch: typeof fetch;
  llm_timeout_ms: number;
};

/** All activities of the worker. Operators read their names in the Temporal Web UI. */
export function createActivities(deps: ActivityDeps) {
  return {
    ...createPlanningActivities(deps),
    ...createTaskActivities(deps),
    ...createAnswerActivities(deps),
    ...createWebhookActivities(deps),
  };
}

export type Activities = ReturnType<typeof createActivities>;
export type { PlannedTask } from './planning.ts';
