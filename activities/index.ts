import type { ActivityDeps } from './deps.ts';
import { createAgentActivities } from './agent-runs.ts';
import type { createCodeActivities } from './code-runs.ts';
import { createGateActivities } from './gates.ts';
import { createIndexingActivities } from './indexing.ts';
import { createPlanningActivities } from './planning.ts';
import { createProgressActivities } from './progress.ts';
import { createSandboxActivities } from './sandboxes.ts';
import { createStepActivities } from './steps.ts';
import { createTaskActivities } from './tasks.ts';
import { createToolActivities } from './tools.ts';
import { createWebhookActivities } from './webhooks.ts';

/** All activities of the worker. Operators read their names in the Temporal Web UI. */
export function createActivities(deps: ActivityDeps) {
  return {
    ...createPlanningActivities(deps),
    ...createTaskActivities(deps),
    ...createToolActivities(deps),
    ...createSandboxActivities(deps),
    ...createStepActivities(deps),
    ...createAgentActivities(deps),
    ...createGateActivities(deps),
    ...createIndexingActivities(deps),
    ...createProgressActivities(deps),
    ...createWebhookActivities(deps),
  };
}

export type Activities = ReturnType<typeof createActivities>;

/** Those of the workers that have a sandbox, on a task queue of their own. */
export type CodeActivities = ReturnType<typeof createCodeActivities>;
