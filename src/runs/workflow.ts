import { heardOf, readGoalSoFar } from '../../db/goal-runs.ts';
import type { Db } from '../../db/index.ts';
import { listPlannedTasks } from '../../db/reruns.ts';
import type { Run, RunAgent } from '../../db/schema.ts';
import { countRunDeliveries } from '../../db/webhooks.ts';
import type { CarriedRun, RunInput } from '../../workflows/contract/inputs.ts';
import { aboutOf, gateName } from '../../workflows/contract/plan.ts';
import { runWorkflowType } from '../../workflows/messages.ts';
import type { RunWorkflow } from '../temporal/starts.ts';
import { gatePolicies } from './gate-terms.ts';
import { plannedTask } from './planned-task.ts';
import { triedAgain } from './tried-again.ts';

/**
 * How the run of a goal is a workflow. One that is tried again gets what it has done so far. `mostEvents`: about so many
 * events after which it continues as new.
 */
export function goalWorkflow({ db, mostEvents }: { db: Db; mostEvents: number }): RunWorkflow {
  async function inputOf(run: Run, isAgain = false): Promise<RunInput> {
    const { run_id, attempt } = run;
    return {
      run_id,
      agents: run.agents.map(({ name, model, require_approval }) => ({
        name,
        model,
        ...(require_approval && { require_approval }),
      })),
      require_approval: run.require_approval,
      has_webhook: run.webhook_url !== null,
      on_budget: run.on_budget,
      plan: run.plan ?? undefined,
      ...gatePolicies(run),
      most_events: mostEvents,
      webhooks: isAgain ? await countRunDeliveries(db, run_id) : undefined,
      ...(attempt > 1 && { attempt, carried: await carriedOver(db, run) }),
    };
  }

  return { type: runWorkflowType, inputOf, describe };
}

/** What is left of the tries before this one. */
async function carriedOver(db: Db, run: Run): Promise<CarriedRun> {
  const [tasks, { tasks: states, ...soFar }] = await Promise.all([
    listPlannedTasks(db, run.run_id),
    readGoalSoFar(db, run),
  ]);
  const planned = tasks.map((task, index) => plannedTask(run, task, index));
  const phase = planned.length > 0 ? ('execute' as const) : ('queued' as const);
  return { ...triedAgain(run, { phase, tasks: states, steered: heardOf(run) }), ...soFar, planned };
}

/** "legal v2 (gpt-4o)" */
export function describeAgent({ name, model, version }: RunAgent): string {
  return [name, version, model && `(${model})`].filter(Boolean).join(' ');
}

function describe({ run_id, agents, ask_me_about, human_gates, require_approval }: Run): [string, string[]][] {
  return [
    ['Agents', agents.map(describeAgent)],
    ['Asks a person about', ask_me_about.map(aboutOf)],
    ['Steps for a person', human_gates.map(gateName)],
    ['Every AI task waits for approval', [require_approval ? 'yes' : 'no']],
    ['REST', [`GET /api/v1/runs/${run_id}`]],
  ];
}
