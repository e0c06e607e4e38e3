import type { Db } from '../../db/index.ts';
import { findActiveProvider, findNewestProvider, listProviders } from '../../db/providers.ts';
import type { RunQuota } from '../../db/runs.ts';
import type { RunAgent } from '../../db/schema.ts';
import type { ToolChoice } from '../../workflows/contract/definition.ts';
import type { Config } from '../config.ts';
import { chooseTools } from './tools.ts';
import { ApiError, invalid } from '../http/problems.ts';
import { vendorOfModel, type ModelTarget } from '../llm/index.ts';
import { findTemplate } from './templates.ts';
import type { Tool } from '../tools/index.ts';

/** Who may run on what: the modes, the quotas, and the model of each agent. */

type Deps = { db: Db; config: Config; managed: ModelTarget[]; tools: Tool[] };
type AgentInput = {
  name: string;
  system_prompt?: string | null;
  model?: string | null;
  tools?: ToolChoice[];
  max_turns?: number;
};

/** What limits this run. Runs on the operator's models count against the trial where there is one. */
export function quotaOf(config: Config, provider_id: string | null): RunQuota {
  const isTrial = provider_id === null && config.MANAGED_TRIAL_RUNS_ENABLED;
  return { monthly: config.MONTHLY_RUN_LIMIT, trial: isTrial ? config.MANAGED_TRIAL_RUNS_COUNT : undefined };
}

function requireManaged({ config, managed }: Deps): void {
  const wayOut = 'Register a provider with POST /api/v1/providers and pass its provider_id.';
  const isOffered =
    config.ALLOW_MANAGED_RUNS_WITHOUT_PROVIDER &&
    (config.ORCHFLOW_MODE === 'self_hosted' || config.MANAGED_TRIAL_RUNS_ENABLED);
  if (!isOffered) throw new ApiError('PROVIDER_REQUIRED', `This server runs on your own provider only. ${wayOut}`);
  if (managed.length === 0) throw new ApiError('PROVIDER_REQUIRED', `This server has no model of its own. ${wayOut}`);
}

/**
 * The agents as the run freezes them: templates filled in, and the provider of each model that the run's own provider
 * does not serve. Throws 402 when the run would need a managed model and may not have one, 422 for an unknown provider or
 * tool and for a model that no active provider serves.
 */
export async function chooseModels(
  deps: Deps,
  account_id: string,
  provider_id: string | null,
  agents: AgentInput[],
  /** Where the request names the model of an agent. */
  pointerOf = (index: number) => `/agents/${index}/model`,
): Promise<RunAgent[]> {
  const provider = provider_id === null ? undefined : await findActiveProvider(deps.db, account_id, provider_id);
  if (provider_id === null) requireManaged(deps);
  else if (!provider) throw invalid([{ pointer: '/provider_id', detail: 'is not an active provider of this account' }]);
  const ownVendors = provider ? [provider.provider] : deps.managed.map((target) => target.vendor);

  const tools = await chooseTools(deps, account_id, agents);
  return Promise.all(
    agents.map(async ({ name, system_prompt, model = null, max_turns }, index) => {
      const vendor = model ? vendorOfModel(model) : undefined;
      const prompt = system_prompt?.trim() || findTemplate(name)?.system_prompt || `You are an expert ${name}.`;
      const own = tools[index]!;
      const agent = {
        name,
        system_prompt: prompt,
        model,
        ...(own.length && { tools: own }),
        ...(max_turns && { max_turns }),
      };
      if (!vendor || ownVendors.includes(vendor)) return { ...agent, provider_id: null };
      const other = await findNewestProvider(deps.db, account_id, vendor);
      if (other) return { ...agent, provider_id: other.provider_id };
      const detail = `Agent "${name}" wants ${model}, and this account has no active ${vendor} provider. Register one with POST /api/v1/providers.`;
      throw invalid([{ pointer: pointerOf(index), detail }]);
    }),
  );
}

/** Throws 422, naming each that is not an active provider of the account. */
export async function checkFallbacks(db: Db, account_id: string, provider_ids: string[]): Promise<void> {
  if (provider_ids.length === 0) return;
  const active = new Set((await listProviders(db, account_id)).map(({ provider_id }) => provider_id));
  const faults = provider_ids.flatMap((provider_id, index) =>
    active.has(provider_id)
      ? []
      : [{ pointer: `/fallback_provider_ids/${index}`, detail: 'is not an active provider of this account' }],
  );
  if (faults.length > 0) throw invalid(faults);
}

/** What a refused start is told, with the way out. */
export function overQuota(
  refused: 'trial' | 'monthly',
  limits: { MANAGED_TRIAL_RUNS_COUNT: number; MONTHLY_RUN_LIMIT: number },
) {
  if (refused === 'trial') {
    const used = `All ${limits.MANAGED_TRIAL_RUNS_COUNT} managed trial runs are used.`;
    return new ApiError(
      'PROVIDER_REQUIRED',
      `${used} Register a provider with POST /api/v1/providers and pass its provider_id.`,
    );
  }
  const now = new Date();
  const nextMonth = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1);
  return new ApiError('MONTHLY_LIMIT_REACHED', `All ${limits.MONTHLY_RUN_LIMIT} runs of this month are used.`, {
    retry_after_seconds: (nextMonth - now.getTime()) / 1000,
  });
}
