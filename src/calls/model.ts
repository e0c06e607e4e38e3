import { findKeyOfCall } from '../../db/call-chains.ts';
import type { AgentSpec, NewProvider, Provider, Vendor } from '../../db/schema.ts';
import type { Principal } from '../accounts/principal.ts';
import { isManagedModel } from '../agents/managed.ts';
import { servingProvider, usableProvider, wayToModel, type ModelDeps } from '../agents/models.ts';
import { encrypt, providerKeyContext, type KeyRing } from '../crypto.ts';
import { DomainError, InvalidInputError, requireNone } from '../errors.ts';
import { requireCallable, type CheckAddress } from '../fetch/index.ts';
import { newId } from '../ids.ts';
import { DEFAULT_MODELS, vendorOfModel } from '../llm/index.ts';
import type { Called } from './called.ts';
import type { LlmCredentials } from './credentials.ts';

/**
 * Who answers a call: a provider of who calls, or else the server's own models, where `provider_id` is null. `own` came with the
 * call, and is to be kept with its run. `model` is null for the one that the provider has.
 */
export type ModelOfCall = {
  provider_id: string | null;
  model: string | null;
  own?: NewProvider;
  warnings: string[];
};

type Deps = ModelDeps & { checkAddress: CheckAddress; encryptionKey: KeyRing };

/**
 * What an agent calls that was called with a key is called with that too, unless it brings another. Throws `PROVIDER_REQUIRED` when who calls has none that serves
 * this agent and may not use the server's, and `InvalidInputError` for credentials of which nobody knows whose they are, addresses
 * that may not be called: any, where code calls, and a model or a provider of the account that others choose.
 */
export async function modelOfCall(
  deps: Deps,
  principal: Principal,
  called: Pick<Called, 'spec' | 'isOwn' | 'engine' | 'seer'>,
  {
    credentials,
    run_id,
    parent_run_id,
  }: { credentials?: LlmCredentials | undefined; run_id: string; parent_run_id: string | null },
): Promise<ModelOfCall> {
  const { spec } = called;
  requireNone(principal.run_id && credentials ? faultsOfRun(called, credentials) : []);
  if (principal.mode === 'test') return { provider_id: null, model: spec.model, warnings: [] };
  if (credentials?.api_key !== undefined || credentials?.base_url !== undefined) {
    return fromCredentials(deps, principal, spec, credentials, run_id);
  }
  const wanted = credentials?.model ?? spec.model;
  const asker = credentials?.model === undefined ? 'The agent' : 'The call, by its llm_credentials,';
  const inherited = parent_run_id ? await findKeyOfCall(deps.db, parent_run_id) : undefined;
  const provider = inherited ?? (await providerFor(deps, principal, called, credentials?.provider, wanted));
  if (provider) {
    const serves = provider.gateway || !wanted || vendorOfModel(wanted) === provider.provider;
    const model = serves ? wanted : (spec.package?.default_models[provider.provider] ?? null);
    const other = `${asker} asks for ${wanted}; ${model ?? provider.model} of your provider answers.`;
    const named = credentials?.provider ?? provider.provider;
    const stands = `${asker} asks for ${named}; the llm_credentials that its chain came with answer.`;
    const warnings = [...(serves ? [] : [other]), ...(named === provider.provider ? [] : [stands])];
    return { provider_id: provider.provider_id, model, warnings };
  }
  const { offersManaged, managed } = deps;
  if (!offersManaged || managed.length === 0) {
    if (called.engine === 'code_runtime') return { provider_id: null, model: null, warnings: [] };
    const message = 'This server has no model for this agent.';
    throw new DomainError('PROVIDER_REQUIRED', message, { way_out: await wayToModel(deps.db, principal.account_id) });
  }
  const vendor = wanted ? vendorOfModel(wanted) : undefined;
  const serves = !wanted || (isManagedModel(deps, wanted) && managed.some((target) => target.vendor === vendor));
  const other = `${asker} asks for ${wanted}; ${managed[0]!.model} of this server answers.`;
  return { provider_id: null, model: serves ? wanted : null, warnings: serves ? [] : [other] };
}

/** What a run may not say of who answers what it calls. */
function faultsOfRun({ seer }: Pick<Called, 'seer'>, { api_key, base_url, provider, model }: LlmCredentials) {
  const faultAt = (field: string, detail: string) => ({ path: ['llm_credentials', field], detail });
  if (base_url !== undefined)
    return [faultAt('base_url', 'cannot be given by code: it would be a way out of its sandbox')];
  if (seer !== null || api_key !== undefined) return [];
  const detail = 'cannot be chosen by an agent of another account, without an api_key of its own';
  return [
    ...(provider === undefined ? [] : [faultAt('provider', detail)]),
    ...(model === undefined ? [] : [faultAt('model', detail)]),
  ];
}

/** That of the agent, where it is its own account's; or the newest that serves its model, or else that it is said to work with. */
async function providerFor(
  { db }: Deps,
  principal: Principal,
  { spec, isOwn }: Pick<Called, 'spec' | 'isOwn'>,
  named: Vendor | undefined,
  model: string | null,
): Promise<Pick<Provider, 'provider_id' | 'provider' | 'model' | 'gateway'> | undefined> {
  const { name, provider_id } = spec;
  if (isOwn && provider_id && !named) return usableProvider(db, principal, { name, provider_id }, []);
  return servingProvider(db, principal.account_id, { model, named, supported: vendorsOf(spec) });
}

/** Undefined: any. */
function vendorsOf({ package: packed }: AgentSpec): string[] | undefined {
  const { supported_providers = [] } = packed ?? {};
  return supported_providers.length === 0 || supported_providers.includes('any') ? undefined : supported_providers;
}

function fromCredentials(
  { checkAddress, encryptionKey }: Deps,
  { account_id }: Principal,
  spec: AgentSpec,
  { api_key, base_url, ...given }: LlmCredentials,
  run_id: string,
): ModelOfCall {
  requireCallable(checkAddress, [[['llm_credentials', 'base_url'], base_url]]);
  const vendor = given.provider ?? guessed(spec, given.model, api_key);
  const faultAt = (detail: string) => new InvalidInputError([{ path: ['llm_credentials', 'provider'], detail }]);
  if (!vendor) throw faultAt('is required: nothing else says whose key this is');
  if (vendor === 'ollama' && !base_url) throw faultAt('has a server of its own: give its base_url too');
  const provider_id = newId('provider');
  const isOfSpec = spec.model !== null && vendorOfModel(spec.model) === vendor;
  const model = given.model ?? (isOfSpec ? spec.model : null) ?? spec.package?.default_models[vendor] ?? null;
  const context = providerKeyContext(account_id, provider_id);
  const own = {
    provider_id,
    account_id,
    provider: vendor,
    label: null,
    model: model ?? DEFAULT_MODELS[vendor],
    base_url: base_url ?? null,
    gateway: false,
    replaces: null,
    run_id,
    api_key_encrypted: api_key === undefined ? null : encrypt(api_key, encryptionKey, context),
  };
  return { provider_id, model, own, warnings: [] };
}

function guessed(spec: AgentSpec, model: string | undefined, api_key: string | undefined): Vendor | undefined {
  const supported = vendorsOf(spec) ?? [];
  const ofModel = model === undefined ? undefined : vendorOfModel(model);
  return ofModel ?? vendorOfKey(api_key) ?? (supported.length === 1 ? (supported[0] as Vendor) : undefined);
}

function vendorOfKey(api_key = ''): Vendor | undefined {
  if (api_key.startsWith('sk-ant-')) return 'anthropic';
  if (api_key.startsWith('AIza')) return 'gemini';
  return api_key.startsWith('sk-') ? 'openai' : undefined;
}
