import type { AskedAbout, HumanGate, RunAgent } from '../../db/schema.ts';
import type { Principal, Remark } from '../accounts/principal.ts';
import { chooseModels, checkFallbacks, type ModelDeps } from '../agents/models.ts';
import { namedAgents, type NamedAgent } from '../agents/named.ts';
import { agentTemplates } from '../agents/templates.ts';
import { requireCallable } from '../fetch/index.ts';
import { newId, type IdSeed } from '../ids.ts';
import { addressesOf, checkGateTerms, gatesWithTerms } from './gate-terms.ts';
import { startTimeOf, type StartTimeRequest } from './start-time.ts';
import {
  findAccepted,
  startRun,
  termsRow,
  withFiles,
  type RunRequest,
  type RunTerms,
  type StartDeps,
} from './start.ts';

export type GoalDeps = StartDeps & ModelDeps & { minReminderSeconds: number };

/** What a run of a goal is asked for. Without agents it has the built-in ones. */
export type Goal = RunTerms &
  StartTimeRequest &
  Pick<Remark, 'on_behalf_of'> & {
    task: string;
    agents: NamedAgent[];
    human_gates: HumanGate[];
    ask_me_about: AskedAbout[];
    require_approval: boolean;
    fallback_provider_ids: string[];
    provider_id?: string | null;
    attachments?: string[];
  };

/**
 * Accepts a run of a goal, with its agents as they are now, and returns its id. A retry of the request finds the run that its first
 * try accepted, whatever has become of what it names. Throws `InvalidInputError` for terms that
 * cannot work, addresses that may not be called, files, models and tools that the account does not have, `NOT_FOUND` for
 * providers and agents that it does not have, and what `startRun` throws.
 */
export async function startGoal(
  deps: GoalDeps,
  principal: Principal,
  goal: Goal,
  idempotency: IdSeed | undefined,
): Promise<string> {
  const accepted = await findAccepted(deps.db, principal, idempotency);
  if (accepted) return accepted;
  const start = startTimeOf(goal);
  const gates = gatesWithTerms(goal.human_gates);
  checkGateTerms(goal, gates, deps.minReminderSeconds);
  requireCallable(deps.checkAddress, addressesOf(goal, gates));
  await checkFallbacks(deps.db, principal, goal.fallback_provider_ids);
  const given = goal.agents.length > 0 ? await namedAgents(deps.db, principal, goal.agents) : agentTemplates;
  const agents = await chooseModels(deps, principal, goal.provider_id ?? null, given);
  const run_id = newId('run', idempotency);
  const { on_behalf_of } = goal;
  const insertFiles = await withFiles(deps, principal, { run_id, attachments: goal.attachments });
  const run = { ...goalRow(run_id, goal, agents), start, on_behalf_of };
  await startRun(deps, principal, run, idempotency, insertFiles);
  return run_id;
}

/** What is stored of a run of a goal before it begins. */
export function goalRow(
  run_id: string,
  goal: Omit<Goal, 'agents' | 'attachments' | keyof StartTimeRequest>,
  agents: RunAgent[],
): RunRequest {
  return {
    run_id,
    origin: 'orchflow',
    task: goal.task,
    agents: JSON.stringify(agents),
    human_gates: JSON.stringify(goal.human_gates),
    ask_me_about: JSON.stringify(goal.ask_me_about),
    require_approval: goal.require_approval,
    provider_id: goal.provider_id ?? null,
    fallback_provider_ids: JSON.stringify(goal.fallback_provider_ids),
    ...termsRow(goal),
  };
}
