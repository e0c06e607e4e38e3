import type { Db } from '../../db/index.ts';
import { listStepTasks } from '../../db/orchestration-runs.ts';
import { findDefinition } from '../../db/orchestrations.ts';
import type { Run } from '../../db/schema.ts';
import { outlineOf } from '../../workflows/contract/definition.ts';
import type { Carried, OrchestrationInput } from '../../workflows/contract/inputs.ts';
import type { RunState } from '../../workflows/contract/states.ts';
import { orchestrationWorkflowType } from '../../workflows/messages.ts';
import type { RunWorkflow } from '../temporal/starts.ts';
import { firstState } from './first-state.ts';

/** How the run of an orchestration is a workflow. One that is tried again gets what it has done so far. */
export function orchestrationWorkflow({ db, historyLimit }: { db: Db; historyLimit?: number }): RunWorkflow {
  async function inputOf(run: Run): Promise<OrchestrationInput> {
    const { run_id, attempt } = run;
    const definition_hash = run.definition_hash!;
    const definition = await findDefinition(db, definition_hash);
    return {
      run_id,
      has_webhook: run.webhook_url !== null,
      definition_hash,
      definition: outlineOf(definition),
      shared_state: firstState(run_id, definition, run.task).refs,
      on_budget: run.on_budget,
      attempt,
      history_limit: historyLimit,
      ...(attempt > 1 && { carried: await carriedOver(db, run) }),
    };
  }

  return { type: orchestrationWorkflowType, inputOf, describe };
}

/** What is left of the tries before this one. Their webhooks have numbers of their own. */
async function carriedOver(db: Db, { run_id, attempt, version, version_base, warnings }: Run): Promise<Carried> {
  const tasks = await listStepTasks(db, run_id);
  const state: RunState = {
    run_id,
    status: 'running',
    phase: 'execute',
    tasks,
    warnings,
    error: null,
    final_output_id: null,
  };
  // Its workflow counts on from where the try before was in its own count.
  return { state, version: version - version_base, answers: [], openings: [], webhooks: (attempt - 1) * 1_000_000 };
}

function describe({ run_id, agents, orchestration_id }: Run): [string, string[]][] {
  return [
    ['Agents', agents.map(({ name, model }) => (model ? `${name} (${model})` : name))],
    ['Orchestration', [orchestration_id!]],
    ['REST', [`GET /api/v1/orchestrations/runs/${run_id}`]],
  ];
}
