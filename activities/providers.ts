import { ApplicationFailure } from '@temporalio/activity';
import { blockModel, type Cooldown } from '../db/provider-cooldowns.ts';
import { findUsableProvider, type UsableProvider } from '../db/providers.ts';
import type { Run, RunAgent } from '../db/schema.ts';
import { demoModel, isManagedModel, managedNames } from '../src/agents/managed.ts';
import { decrypt, OtherKeyError, providerKeyContext, type KeyRing } from '../src/crypto.ts';
import { LlmError, vendorOfModel, type ModelTarget } from '../src/llm/index.ts';
import type { ActivityDeps } from './deps.ts';
import { retryDelay } from './failures.ts';

/** `provider_id` is null for the operator's own models. */
export type Model = { provider_id: string | null; target: ModelTarget };

/** A model that may be asked: of the account's provider, or the operator's own when `provider_id` is null; `isDemo` is of tests. */
export type Candidate = { provider_id: string | null; model?: string; isDemo?: true };

/**
 * The models of a call in turn: that of the agent, or else of the run; and where one refuses for good, the next of
 * `fallback_provider_ids`. In a test there is the demo model and no other.
 */
export function candidatesOf(
  run: Pick<Run, 'provider_id' | 'fallback_provider_ids' | 'mode'>,
  agent?: RunAgent,
): Candidate[] {
  if (run.mode === 'test') return [{ provider_id: null, isDemo: true }];
  const wanted = { provider_id: agent?.provider_id ?? run.provider_id, model: agent?.model ?? undefined };
  return [wanted, ...run.fallback_provider_ids.map((provider_id) => ({ provider_id }))];
}

/** Why a provider takes no calls: the same words for every call, so that a run is warned once. */
const REFUSALS: Record<string, string> = {
  LlmAuth: 'refuses calls: its key is not taken',
  LlmQuotaExhausted: 'refuses calls: its quota or credit is used up',
  ProviderInactive: 'is not active any more',
  ProviderKeyUnreadable: 'cannot be asked: its stored key cannot be read',
  ManagedBudgetUsedUp: 'may spend no more of its budget',
};

/**
 * What readers are told when another provider than the wanted one has answered; `refusal` is that of the wanted one,
 * where it is known.
 */
export function failoverWarnings(
  [wanted, ...fallbacks]: Candidate[],
  { provider_id }: { provider_id: string | null },
  refusal?: ApplicationFailure,
): string[] {
  const isFallback = fallbacks.some((fallback) => fallback.provider_id === provider_id);
  if (!isFallback || provider_id === wanted!.provider_id) return [];
  const refusing = wanted!.provider_id ? `Provider ${wanted!.provider_id}` : "The server's model";
  return [`${refusing} ${REFUSALS[refusal?.type ?? ''] ?? 'takes no calls'}; ${provider_id} takes them.`];
}

/**
 * The model with what is needed to call it. A provider that is not among those `known` is looked for: another one may have
 * taken its place.
 * @throws `ProviderInactive`, `ProviderKeyUnreadable` when it cannot be called.
 */
export async function findModel(
  deps: ActivityDeps,
  account_id: string,
  candidate: Candidate,
  known: UsableProvider[],
): Promise<Model> {
  const { provider_id, model } = candidate;
  if (candidate.isDemo) return { provider_id: null, target: demoModel };
  if (provider_id) return findOwnModel(deps, { account_id, provider_id, model }, known);
  if (model && !isManagedModel(deps, model)) {
    const message = `This server's own models are ${managedNames(deps).join(', ')}; ${model} is none of them any more.`;
    throw ApplicationFailure.nonRetryable(message, 'ProviderInactive');
  }
  const vendor = model ? vendorOfModel(model) : undefined;
  const target = vendor ? deps.managed.find((managed) => managed.vendor === vendor) : deps.managed[0];
  if (!target) throw ApplicationFailure.nonRetryable('This server has no managed model any more.', 'ProviderInactive');
  return { provider_id: null, target: { ...target, model: model ?? target.model } };
}

async function findOwnModel(
  { db, encryptionKey }: ActivityDeps,
  wanted: { account_id: string; provider_id: string; model?: string },
  known: UsableProvider[],
): Promise<Model> {
  const provider =
    known.find((one) => one.provider_id === wanted.provider_id) ??
    (await findUsableProvider(db, wanted.account_id, wanted.provider_id));
  if (!provider) {
    throw ApplicationFailure.nonRetryable(
      `Provider ${wanted.provider_id} is not active any more. Register one that \`replaces\` it, then retry.`,
      'ProviderInactive',
    );
  }
  const { provider_id, base_url } = provider;
  const api_key = readKey(provider, encryptionKey);
  const model = wanted.model ?? provider.model;
  return { provider_id, target: { vendor: provider.provider, model, api_key, base_url: base_url ?? undefined } };
}

function readKey(
  { account_id, provider_id, api_key_encrypted }: UsableProvider,
  encryptionKey: KeyRing,
): string | undefined {
  if (!api_key_encrypted) return undefined;
  try {
    return decrypt(api_key_encrypted, encryptionKey, providerKeyContext(account_id, provider_id));
  } catch (error) {
    // Tried again: a worker with the right ENCRYPTION_KEY may take it.
    if (error instanceof OtherKeyError) throw error;
    const reason = `The stored key of provider ${provider_id} cannot be read. Register one that \`replaces\` it, then decide \`retry\`.`;
    throw ApplicationFailure.nonRetryable(reason, 'ProviderKeyUnreadable');
  }
}

/** Of the operator's models, which all accounts share: they are asked again soon, whatever was said. */
const longestManagedBlock_ms = 60_000;

/** Which calls a block holds back: the operator's models have no row of their own. */
function blockedModel({ provider_id, target }: Model): Pick<Cooldown, 'provider_id' | 'model'> {
  return { provider_id: provider_id ?? `managed/${target.vendor}`, model: target.model };
}

/**
 * A model whose provider asked to be left alone is not called: the activity is put off.
 * @throws `ProviderBlocked` when it is one of these.
 */
export function putOffWhileBlocked(model: Model, cooldowns: Cooldown[]): void {
  const blocked = blockedModel(model);
  const block = cooldowns.find((one) => one.provider_id === blocked.provider_id && one.model === blocked.model);
  if (!block) return;
  throw ApplicationFailure.create({
    type: 'ProviderBlocked',
    message: `The provider takes no calls until ${block.blocked_until}.`,
    nextRetryDelay: retryDelay(block.ms),
    category: 'BENIGN',
  });
}

/** Keeps what a provider said of when a model may be asked again, for the calls of all runs. */
export async function holdBack({ db }: ActivityDeps, model: Model, error: unknown): Promise<void> {
  if (!(error instanceof LlmError) || error.retry_after_ms === undefined) return;
  // Not kept, it is asked a little more often.
  const ms = model.provider_id ? error.retry_after_ms : Math.min(error.retry_after_ms, longestManagedBlock_ms);
  await blockModel(db, blockedModel(model), ms).catch(() => {});
}
