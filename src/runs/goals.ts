import type { GateTerms, HumanGate, NewRun, RunAgent } from '../../db/schema.ts';
import type { Principal } from '../accounts/principal.ts';
import { chooseModels, checkFallbacks, type AgentInput, type ModelDeps } from '../agents/models.ts';
import { agentTemplates } from '../agents/templates.ts';
import type { Path } from '../errors.ts';
import { requireCallable } from '../fetch/index.ts';
import { newId, type IdSeed } from '../ids.ts';
import { checkGateTerms } from './gate-terms.ts';
import { startRun, type RunRequest, type StartDeps } from './start.ts';

export type GoalDeps = StartDeps & ModelDeps & { minReminderSeconds: number };

/** What a run of a goal is asked for. Without agents it has the built-in ones. */
export type Goal = Partial<GateTerms> & {
  task: string;
  agents: AgentInput[];
  human_gates: HumanGate[];
  ask_me_about: string[];
  fallback_provider_ids: string[];
  provider_id?: string | null;
  metadata?: Record<string, string>;
} & Pick<NewRun, 'require_approval' | 'on_budget'> &
  Partial<Pick<NewRun, 'webhook_url' | 'max_cost_usd' | 'max_tokens' | 'tags'>>;

/**
 * Accepts a run of a goal, with its agents as they are now, and returns its id. Throws `InvalidInputError` for terms that
 * cannot work, addresses that may not be called, and models and tools that the account does not have, `NOT_FOUND` for
 * providers that it does not have, and what `startRun` throws.
 */
export async function startGoal(
  deps: GoalDeps,
  principal: Principal,
  goal: Goal,
  idempotency: IdSeed | undefined,
): Promise<string> {
  checkGateTerms(goal, deps.minReminderSeconds);
  requireCallable(deps.checkAddress, addressesOf(goal));
  await checkFallbacks(deps.db, principal, goal.fallback_provider_ids);
  const given = goal.agents.length > 0 ? goal.agents : agentTemplates;
  const agents = await chooseModels(deps, principal, goal.provider_id ?? null, given);
  const run_id = newId('run', idempotency);
  await startRun(deps, principal, goalRow(run_id, goal, agents), idempotency);
  return run_id;
}

/** Where its webhooks go, with where they stand in the request. */
function addressesOf({ webhook_url, escalation_webhook_url, human_gates }: Goal): [Path, string | null | undefined][] {
  return [
    [['webhook_url'], webhook_url],
    [['escalation_webhook_url'], escalation_webhook_url],
    ...human_gates.map((gate, index): [Path, string | null | undefined] => [
      ['human_gates', index, 'escalation_webhook_url'],
      typeof gate === 'string' ? null : gate.escalation_webhook_url,
    ]),
  ];
}

/** What is stored of a run of a goal before it begins. */
export function goalRow(run_id: string, goal: Omit<Goal, 'agents'>, agents: RunAgent[]): RunRequest {
  return {
    run_id,
    origin: 'orchflow',
    task: goal.task,
    agents: JSON.stringify(agents),
    human_gates: JSON.stringify(goal.human_gates),
    ask_me_about: JSON.stringify(goal.ask_me_about),
    require_approval: goal.require_approval,
    webhook_url: goal.webhook_url ?? null,
    gate_due_in: goal.gate_due_in ?? null,
    remind_every: goal.remind_every ?? null,
    on_timeout: goal.on_timeout,
    escalation_webhook_url: goal.escalation_webhook_url ?? null,
    provider_id: goal.provider_id ?? null,
    fallback_provider_ids: JSON.stringify(goal.fallback_provider_ids),
    max_cost_usd: goal.max_cost_usd ?? null,
    max_tokens: goal.max_tokens ?? null,
    on_budget: goal.on_budget,
    metadata: JSON.stringify(goal.metadata ?? {}),
    tags: goal.tags ?? [],
  };
}
