import { readGoalSoFar } from '../../db/goal-runs.ts';
import type { Db } from '../../db/index.ts';
import type { AgentTerms, Run } from '../../db/schema.ts';
import { countRunDeliveries } from '../../db/webhooks.ts';
import type { AgentRunInput, CarriedAgentRun } from '../../workflows/contract/inputs.ts';
import { agentTaskId } from '../../workflows/contract/plan.ts';
import type { TaskProgress, TaskState } from '../../workflows/contract/states.ts';
import { agentWorkflowType } from '../../workflows/messages.ts';
import type { RunWorkflow } from '../temporal/starts.ts';
import { gatePolicies } from './gate-terms.ts';
import { triedAgain } from './tried-again.ts';
import { describeAgent } from './workflow.ts';

/** How the run of one agent is a workflow. One that is tried again gets what it has done so far. */
export function agentWorkflow({ db, mostEvents }: { db: Db; mostEvents: number }): RunWorkflow {
  async function inputOf(run: Run, isAgain = false): Promise<AgentRunInput> {
    const { run_id, attempt, agent_run } = run;
    // One that is purged has none, and is cancelled as soon as it begins.
    const [agent] = run.agents;
    return {
      run_id,
      agent: { name: agent?.name ?? '', model: agent?.model ?? null },
      require_approval: run.require_approval,
      timeout_seconds: agent_run?.timeout_seconds ?? 1,
      ...(agent_run?.code && { code: { on_interrupted: agent_run.code.on_interrupted } }),
      // Whoever tries it again has the time of its turns.
      ...(agent_run?.deadline_at && attempt === 1 && { deadline_at: deadlineOf(agent_run, agent_run.deadline_at) }),
      has_webhook: run.webhook_url !== null,
      on_budget: run.on_budget,
      gate_policy: gatePolicies(run).gate_policy,
      attempt,
      most_events: mostEvents,
      webhooks: isAgain ? await countRunDeliveries(db, run_id) : undefined,
      ...(attempt > 1 && { carried: await carriedOver(db, run) }),
    };
  }

  return { type: agentWorkflowType, inputOf, describe };
}

/** Who runs code ends it at the deadline, and has so long, in milliseconds, to write down what it had printed. */
const writing_ms = 10_000;

function deadlineOf({ code }: AgentTerms, deadline_at: number): number {
  return code ? deadline_at + writing_ms : deadline_at;
}

/** What is left of the tries before this one. */
async function carriedOver(db: Db, run: Run): Promise<CarriedAgentRun> {
  const { tasks, works, answers, openings } = await readGoalSoFar(db, run);
  const task = tasks.find(({ id }) => id === agentTaskId);
  const known = works.find(([task_id]) => task_id === agentTaskId)?.[1];
  const work = task && known ? goesOn(task, known) : undefined;
  return { ...triedAgain(run, { phase: 'execute', tasks }), answers, openings, work };
}

/**
 * An attempt that was under way goes on, and finds in its journal what was paid for; but where the answers of the model were at
 * fault, the next one begins.
 */
function goesOn({ evaluation, output_id }: TaskState, { loop, ...work }: TaskProgress): TaskProgress {
  if (evaluation?.passed === false) return { ...work, is_underway: false };
  // While a person was asked about a call, its arguments stood in place of the draft.
  const draft_id = output_id?.endsWith('/arguments') ? null : output_id;
  return { ...work, ...(loop && { loop: { ...loop, draft_id } }) };
}

function describe({ run_id, agents, agent_id, require_approval }: Run): [string, string[]][] {
  return [
    ['Agent', agents.map(describeAgent)],
    ['Registered as', [agent_id!]],
    ['Its output waits for approval', [require_approval ? 'yes' : 'no']],
    ['REST', [`GET /api/v1/runs/${run_id}`]],
  ];
}
