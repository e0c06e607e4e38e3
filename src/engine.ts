import type { Config } from './config.ts';
import { orchestrationWorkflow } from './orchestrations/workflow.ts';
import { agentWorkflow } from './runs/agent-workflow.ts';
import { goalWorkflow } from './runs/workflow.ts';
import { createEngine, type Engine } from './temporal/engine.ts';

type EngineDeps = Pick<Parameters<typeof createEngine>[0], 'client' | 'db'> & { config: Config };

/** The engine of runs of every kind, on the task queue of the settings. */
export function createRunEngine({ config, db, client }: EngineDeps): Engine {
  const { TEMPORAL_TASK_QUEUE: taskQueue, RUN_HISTORY_LIMIT: mostEvents } = config;
  const workflows = {
    goal: goalWorkflow({ db, mostEvents }),
    orchestration: orchestrationWorkflow({ db, mostEvents }),
    agent: agentWorkflow({ db, mostEvents }),
  };
  return createEngine({ client, db, taskQueue, workflows });
}
