import type { Db } from '../../db/index.ts';
import { keepDefinition } from '../../db/orchestrations.ts';
import { listProviders } from '../../db/providers.ts';
import { insertTexts } from '../../db/texts.ts';
import type { Definition, Step } from '../../workflows/contract/definition.ts';
import type { Principal } from '../accounts/principal.ts';
import { chooseModels, type ModelDeps } from '../agents/models.ts';
import { findTemplate } from '../agents/templates.ts';
import { requireCallable } from '../fetch/index.ts';
import { newId, type IdSeed } from '../ids.ts';
import { startRun, type StartDeps } from '../runs/start.ts';
import { checkTools } from './check-tools.ts';
import type { Orchestration } from './find.ts';
import { firstState } from './first-state.ts';

/** `warnings` is what the readers of the run are told of the request. */
export type OrchestrationRequest = {
  message: string;
  provider_id?: string;
  webhook_url?: string;
  metadata: Record<string, string>;
  tags: string[];
  warnings: string[];
};

/**
 * Accepts a run of an orchestration, with the definition as it is now, and returns its id. Throws what `chooseModels`,
 * `checkTools` and `startRun` throw.
 */
export async function startOrchestration(
  deps: StartDeps & ModelDeps,
  principal: Principal,
  { id, hash, definition }: Orchestration,
  request: OrchestrationRequest,
  idempotency: IdSeed | undefined,
): Promise<string> {
  const { db } = deps;
  requireCallable(deps.checkAddress, [[['webhook_url'], request.webhook_url]]);
  const provider_id = request.provider_id ?? (await ownProvider(db, principal));
  const agents = agentsOf(definition);
  const chosen = await chooseModels(deps, principal, provider_id, agents, (index) => {
    const at = definition.steps.findIndex((step) => step.id === agents[index]!.name);
    return ['steps', at, 'model'];
  });
  await checkTools(deps, principal, definition);
  const run_id = newId('run', idempotency);
  const { refs, texts } = firstState(run_id, definition, request.message);
  await keepDefinition(db, hash, definition);
  const run = {
    run_id,
    origin: 'orchestrations' as const,
    task: request.message,
    agents: JSON.stringify(chosen),
    human_gates: '[]',
    ask_me_about: '[]',
    require_approval: false,
    webhook_url: request.webhook_url ?? null,
    provider_id,
    max_cost_usd: definition.max_total_cost_usd,
    on_budget: 'fail' as const,
    orchestration_id: id,
    definition_hash: hash,
    shared_state: JSON.stringify(refs),
    metadata: JSON.stringify(request.metadata),
    tags: request.tags,
    start_warnings: JSON.stringify(request.warnings),
  };
  await startRun(deps, principal, run, idempotency, (trx) => insertTexts(trx, texts));
  return run_id;
}

/** A client that names no provider runs on the newest one of its account; on the server's model when it has none. */
async function ownProvider(db: Db, { account_id }: Principal): Promise<string | null> {
  const [newest] = await listProviders(db, account_id);
  return newest?.provider_id ?? null;
}

/** The agent of each step that has one, or a model of its own, under the id of the step. */
function agentsOf({ steps }: Definition) {
  return steps.flatMap((step) => agentOf(step) ?? []);
}

function agentOf(step: Step) {
  if (!('model' in step)) return undefined;
  const agent = step.type === 'agent' ? step.agent : null;
  const template = 'agent_id' in step ? step.agent_id : null;
  const model = step.model ?? agent?.model ?? null;
  if (step.type !== 'agent' && model === null && template === null) return undefined;
  const system_prompt = agent?.system_prompt?.trim() || findTemplate(template ?? agent?.name ?? '')?.system_prompt;
  return { name: step.id, system_prompt: system_prompt ?? `You are an expert ${agent?.name ?? step.name}.`, model };
}
