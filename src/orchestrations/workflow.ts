import type { Db } from '../../db/index.ts';
import { listTasksSoFar } from '../../db/orchestration-runs.ts';
import { findDefinition } from '../../db/orchestrations.ts';
import type { Run } from '../../db/schema.ts';
import { countRunDeliveries } from '../../db/webhooks.ts';
import { outlineOf } from '../../workflows/contract/definition.ts';
import type { Carried, OrchestrationInput } from '../../workflows/contract/inputs.ts';
import { orchestrationWorkflowType } from '../../workflows/messages.ts';
import { policiesOf } from '../runs/gate-terms.ts';
import { triedAgain } from '../runs/tried-again.ts';
import type { RunWorkflow } from '../temporal/starts.ts';

/** How the run of an orchestration is a workflow. One that is tried again, or is a rerun, gets what is done so far. */
export function orchestrationWorkflow({ db, mostEvents }: { db: Db; mostEvents: number }): RunWorkflow {
  async function inputOf(run: Run, isAgain = false): Promise<OrchestrationInput> {
    const { run_id, attempt, rerun_from } = run;
    const definition_hash = run.definition_hash!;
    const { gate_policy, step_policies } = policiesOf(run, {});
    return {
      run_id,
      has_webhook: run.webhook_url !== null,
      definition_hash,
      definition: outlineOf(await findDefinition(db, definition_hash)),
      // Of one that is tried again, or is a rerun, as it is where it goes on: nothing that it does anew sees an earlier one.
      shared_state: run.shared_state!,
      on_budget: run.on_budget,
      gate_policy,
      step_policies,
      attempt,
      most_events: mostEvents,
      webhooks: isAgain ? await countRunDeliveries(db, run_id) : undefined,
      ...((attempt > 1 || isAgain || rerun_from) && { carried: await carriedOver(db, run) }),
      ...(rerun_from && { rerun_from }),
    };
  }

  return { type: orchestrationWorkflowType, inputOf, describe };
}

/**
 * What is left of the tries before this one, of this one when its workflow is lost, and of the run that it does again: a step
 * that was under way then does again what its journal knows.
 */
async function carriedOver(db: Db, run: Run): Promise<Carried> {
  const tasks = await listTasksSoFar(db, run.run_id);
  for (const { step } of tasks) delete step?.loop;
  return triedAgain(run, { phase: 'execute', tasks });
}

function describe({ run_id, agents, orchestration_id }: Run): [string, string[]][] {
  return [
    ['Agents', agents.map(({ name, model }) => (model ? `${name} (${model})` : name))],
    ['Orchestration', [orchestration_id!]],
    ['REST', [`GET /api/v1/orchestrations/runs/${run_id}`]],
  ];
}
