import type { Config } from '../config.ts';
import type { ModelTarget } from '../llm/index.ts';

/** What answers in the place of all models in a test run; and where there is no other, of a server that was started to try it. */
export const demoModel: ModelTarget = { vendor: 'demo', model: 'demo', is_operators: true };

/** The operator's own models in order of preference; the first serves runs that name no provider. */
export function managedModels(config: Config): ModelTarget[] {
  const targets: Omit<ModelTarget, 'is_operators'>[] = [];
  const { GEMINI_API_KEY, OPENAI_API_KEY, ANTHROPIC_API_KEY, OLLAMA_BASE_URL } = config;
  if (GEMINI_API_KEY) targets.push({ vendor: 'gemini', model: config.GEMINI_MODEL, api_key: GEMINI_API_KEY });
  if (OPENAI_API_KEY) {
    targets.push({
      vendor: 'openai',
      model: config.OPENAI_MODEL,
      api_key: OPENAI_API_KEY,
      base_url: config.OPENAI_BASE_URL,
    });
  }
  if (ANTHROPIC_API_KEY)
    targets.push({ vendor: 'anthropic', model: config.ANTHROPIC_MODEL, api_key: ANTHROPIC_API_KEY });
  if (OLLAMA_BASE_URL) targets.push({ vendor: 'ollama', model: config.OLLAMA_MODEL, base_url: OLLAMA_BASE_URL });
  if (targets.length === 0 && config.ORCHFLOW_EMBEDDED) targets.push(demoModel);
  return targets.map((target) => ({ ...target, is_operators: true }));
}

export type ManagedDeps = {
  /** The operator's models, the default first. */
  managed: ModelTarget[];
  /** Whether they serve runs that name no provider. */
  offersManaged: boolean;
  /** The models that may be named besides these; null is all that their vendors have. */
  managedBesides: string[] | null;
};

/** The names of the operator's models that a run may use. */
export function managedNames({ managed, managedBesides }: ManagedDeps): string[] {
  return [...managed.map(({ model }) => model), ...(managedBesides ?? [])];
}

/** Whether a run may use the operator's key for this model. */
export function isManagedModel(deps: ManagedDeps, model: string): boolean {
  return deps.managedBesides === null || managedNames(deps).includes(model);
}

/** Whether the operator's models serve runs that name no provider. */
export function offersManaged(config: Config): boolean {
  const { ALLOW_MANAGED_RUNS_WITHOUT_PROVIDER, ORCHFLOW_MODE, MANAGED_TRIAL_RUNS_ENABLED } = config;
  return ALLOW_MANAGED_RUNS_WITHOUT_PROVIDER && (ORCHFLOW_MODE === 'self_hosted' || MANAGED_TRIAL_RUNS_ENABLED);
}
