import { ApplicationFailure } from '@temporalio/activity';
import { blockProvider, type Cooldown } from '../db/provider-cooldowns.ts';
import { findUsableProvider } from '../db/providers.ts';
import type { Provider, Run, RunAgent } from '../db/schema.ts';
import type { Work } from '../db/work.ts';
import { decrypt, OtherKeyError, providerKeyContext, type KeyRing } from '../src/crypto.ts';
import { LlmError, vendorOfModel, type ModelTarget } from '../src/llm/index.ts';
import type { ActivityDeps } from './deps.ts';

/** `provider_id` is null for the operator's own models. */
export type Model = { provider_id: string | null; target: ModelTarget };

/** With these a provider will not take this run's calls however often it is asked: the next one may. */
const refusals = ['LlmQuotaExhausted', 'LlmAuth', 'ProviderInactive', 'ProviderKeyUnreadable'];

/** However long a provider is blocked: so often a call looks whether it still is, and still the one to ask. */
const longestDelay_ms = 5 * 60_000;

/**
 * Makes a call with the model of the agent (or run), and where that refuses for good with those of
 * `fallback_provider_ids` in turn. A provider that asked to be left alone is not called: the activity is put off.
 */
export async function withProvider<T>(
  deps: ActivityDeps,
  { run, cooldowns }: Work,
  agent: RunAgent | undefined,
  makeCall: (model: Model) => Promise<T>,
): Promise<T> {
  const failures: ApplicationFailure[] = [];
  const { account_id } = run;
  const fallbacks = run.fallback_provider_ids.map(
    (provider_id) => () => findOwnModel(deps, { account_id, provider_id }),
  );
  for (const find of [() => findModel(deps, run, agent), ...fallbacks]) {
    try {
      const model = await find();
      refuseWhileBlocked(model, cooldowns);
      return await makeCall(model);
    } catch (error) {
      if (!(error instanceof ApplicationFailure) || !refusals.includes(error.type!)) throw error;
      failures.push(error);
    }
  }
  const [first] = failures;
  throw ApplicationFailure.nonRetryable(failures.map(({ message }) => message).join(' '), first!.type);
}

/** What readers are told when another provider than the wanted one has answered. */
export function failoverWarnings(run: Run, agent: RunAgent | undefined, answered: { provider_id: string | null }) {
  const wanted = agent?.provider_id ?? run.provider_id;
  const { provider_id } = answered;
  if (!provider_id || provider_id === wanted || !run.fallback_provider_ids.includes(provider_id)) return [];
  return [
    `${wanted ? `Provider ${wanted}` : "The server's model"} refuses calls (key or quota); ${provider_id} takes them.`,
  ];
}

async function findModel(deps: ActivityDeps, run: Run, agent?: RunAgent): Promise<Model> {
  const provider_id = agent?.provider_id ?? run.provider_id;
  const model = agent?.model ?? undefined;
  if (provider_id) return findOwnModel(deps, { account_id: run.account_id, provider_id, model });
  const vendor = model ? vendorOfModel(model) : undefined;
  const target = deps.managed.find((candidate) => candidate.vendor === vendor) ?? deps.managed[0];
  if (!target) throw ApplicationFailure.nonRetryable('This server has no managed model any more.', 'ProviderInactive');
  return { provider_id: null, target: { ...target, model: model ?? target.model } };
}

async function findOwnModel(
  { db, encryptionKey }: ActivityDeps,
  wanted: { account_id: string; provider_id: string; model?: string },
): Promise<Model> {
  const provider = await findUsableProvider(db, wanted.account_id, wanted.provider_id);
  if (!provider) {
    throw ApplicationFailure.nonRetryable(
      `Provider ${wanted.provider_id} is not active. Register another of its kind.`,
      'ProviderInactive',
    );
  }
  const { provider_id, base_url } = provider;
  const api_key = readKey(provider, encryptionKey);
  const model = wanted.model ?? provider.model;
  return { provider_id, target: { vendor: provider.provider, model, api_key, base_url: base_url ?? undefined } };
}

function readKey({ account_id, provider_id, api_key_encrypted }: Provider, encryptionKey: KeyRing): string | undefined {
  if (!api_key_encrypted) return undefined;
  try {
    return decrypt(api_key_encrypted, encryptionKey, providerKeyContext(account_id, provider_id));
  } catch (error) {
    // Tried again: a worker with the right ENCRYPTION_KEY may take it.
    if (error instanceof OtherKeyError) throw error;
    const reason = `The stored key of provider ${provider_id} cannot be read. Register it again and deactivate this one.`;
    throw ApplicationFailure.nonRetryable(reason, 'ProviderKeyUnreadable');
  }
}

/** Whose calls a block holds back: the operator's models have no row of their own. */
function blockedId({ provider_id, target }: Model): string {
  return provider_id ?? `managed/${target.vendor}`;
}

function refuseWhileBlocked(model: Model, cooldowns: Cooldown[]): void {
  const block = cooldowns.find(({ provider_id }) => provider_id === blockedId(model));
  if (!block) return;
  throw ApplicationFailure.create({
    type: 'ProviderBlocked',
    message: `The provider takes no calls until ${block.blocked_until}; this one waits.`,
    nextRetryDelay: retryDelay(block.ms),
    category: 'BENIGN',
  });
}

/** Keeps what a provider said of when it may be asked again, for the calls of all runs. */
export async function holdBack({ db }: ActivityDeps, model: Model, error: unknown): Promise<void> {
  if (!(error instanceof LlmError) || error.retry_after_ms === undefined) return;
  // Not kept, it is asked a little more often.
  await blockProvider(db, blockedId(model), error.retry_after_ms).catch(() => {});
}

/** Spread out, so that calls that were held back together do not come back together. */
export function retryDelay(ms: number): number {
  return Math.ceil(Math.min(ms, longestDelay_ms) * (1 + Math.random() / 10));
}
