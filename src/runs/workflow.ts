import type { Run } from '../../db/schema.ts';
import type { RunInput } from '../../workflows/contract/inputs.ts';
import { gateName } from '../../workflows/contract/plan.ts';
import { runWorkflowType } from '../../workflows/messages.ts';
import type { RunWorkflow } from '../temporal/starts.ts';
import { gatePolicies } from './gate-terms.ts';

/** How the run of a goal is a workflow. `historyLimit`: events after which it continues as new, if Temporal does not suggest it before. */
export function goalWorkflow({ historyLimit }: { historyLimit?: number }): RunWorkflow {
  return {
    type: runWorkflowType,
    inputOf: (run): RunInput => ({
      run_id: run.run_id,
      agents: run.agents.map(({ name, model }) => ({ name, model })),
      require_approval: run.require_approval,
      has_webhook: run.webhook_url !== null,
      on_budget: run.on_budget,
      plan: run.plan ?? undefined,
      ...gatePolicies(run),
      history_limit: historyLimit,
    }),
    describe,
  };
}

function describe({ run_id, agents, ask_me_about, human_gates, require_approval }: Run): [string, string[]][] {
  return [
    ['Agents', agents.map(({ name, model }) => (model ? `${name} (${model})` : name))],
    ['Asks a person about', ask_me_about],
    ['Steps for a person', human_gates.map(gateName)],
    ['Every AI task waits for approval', [require_approval ? 'yes' : 'no']],
    ['REST', [`GET /api/v1/runs/${run_id}`]],
  ];
}
