import type { Db } from '../../db/index.ts';
import {
  findActiveProvider,
  findNewestProvider,
  findProvider,
  findUsableProvider,
  listProviders,
} from '../../db/providers.ts';
import type { Provider, Run, RunAgent, Vendor } from '../../db/schema.ts';
import type { AgentTool, ToolChoice } from '../../workflows/contract/definition.ts';
import type { Principal } from '../accounts/principal.ts';
import { DomainError, InvalidInputError, providerNotFound, type Path, type WayOut } from '../errors.ts';
import { vendorOfModel } from '../llm/index.ts';
import type { Tool } from '../tools/index.ts';
import { isManagedModel, managedNames, type ManagedDeps } from './managed.ts';
import { findTemplate } from './templates.ts';
import { chooseTools, withSearch } from './tools.ts';

/** Who may run on what: the operator's models, and the model of each agent. */

export type ModelDeps = ManagedDeps & { db: Db; tools: Tool[] };

/** An agent as it is asked for. */
export type AgentInput = {
  name: string;
  system_prompt?: string | null;
  model?: string | null;
  tools?: ToolChoice[];
  /** The knowledge bases of a registered agent. */
  knowledge?: string[];
  max_turns?: number;
  require_approval?: boolean;
  /** The registered agent that it is. The provider of one is kept, whoever serves the run. */
  agent_id?: string;
  version?: string;
  /** The account whose agent it is, when it is another's. */
  owner_id?: string;
  is_closed?: boolean;
  provider_id?: string | null;
  /** Of a registered agent: the run names a model in place of its own, which its provider must serve. */
  has_other_model?: boolean;
};

/** What an account does that may not use the server's models: it names a provider of its own, or registers one. */
export async function wayToModel(db: Db, account_id: string): Promise<WayOut> {
  const [own] = await listProviders(db, account_id);
  return own ? 'name_provider' : 'register_provider';
}

async function requireManaged({ db, offersManaged, managed }: ModelDeps, { account_id }: Principal): Promise<void> {
  if (offersManaged && managed.length > 0) return;
  const message = offersManaged
    ? 'This server has no model of its own.'
    : 'This server runs on your own provider only.';
  throw new DomainError('PROVIDER_REQUIRED', message, { way_out: await wayToModel(db, account_id) });
}

/**
 * The agents as the run freezes them: templates filled in, and the provider of each model that the run's own provider
 * does not serve; a gateway serves all. A registered agent keeps the provider that it names. Throws `PROVIDER_REQUIRED` when
 * the run would need a managed model and may not have one, `NOT_FOUND` for an unknown provider, and `InvalidInputError` for an
 * unknown tool, for a model that no active provider serves, and for a provider of a registered agent that is not active any more.
 * In a test no model is asked, and so none is missing.
 */
export async function chooseModels(
  deps: ModelDeps,
  principal: Principal,
  provider_id: string | null,
  agents: AgentInput[],
  /** Where an agent was named, or this of it. */
  pathOf: (index: number, ...member: Path) => Path = (index, ...member) => ['agents', index, ...member],
): Promise<RunAgent[]> {
  const { account_id } = principal;
  const provider = provider_id === null ? undefined : await findActiveProvider(deps.db, account_id, provider_id);
  const isTest = principal.mode === 'test';
  if (provider_id === null) await (isTest || requireManaged(deps, principal));
  else if (!provider) throw providerNotFound([['provider_id']]);
  const ownVendors = provider ? [provider.provider] : deps.managed.map((target) => target.vendor);

  const tools = await chooseTools(deps, principal, agents, (agent, tool) => pathOf(agent, 'tools', tool));
  return Promise.all(
    agents.map(async (given, index) => {
      const agent = frozen(given, tools[index]!);
      const { name, model, agent_id } = agent;
      const vendor = model ? vendorOfModel(model) : undefined;
      if (isTest) return { ...agent, provider_id: null };
      if (agent_id && given.provider_id) {
        const path = pathOf(index, 'model');
        const kept = await usableProvider(deps.db, principal, { name, provider_id: given.provider_id }, path);
        if (given.has_other_model && vendor && !kept.gateway && kept.provider !== vendor) {
          const detail = `Agent "${name}" asks its own provider ${kept.provider_id}, which does not serve ${model}.`;
          throw new InvalidInputError([{ path, detail }]);
        }
        return { ...agent, provider_id: kept.provider_id };
      }
      if (!vendor || provider?.gateway || ownVendors.includes(vendor)) {
        if (model && !provider && !isManagedModel(deps, model)) throw notManaged(deps, model, pathOf(index, 'model'));
        return { ...agent, provider_id: null };
      }
      const other = await findNewestProvider(deps.db, account_id, vendor);
      if (other) return { ...agent, provider_id: other.provider_id };
      const nor = provider?.base_url ? ', nor is its own a `gateway`' : '';
      const detail = `Agent "${name}" wants ${model}, and this account has no active ${vendor} provider${nor}.`;
      throw new InvalidInputError([{ path: pathOf(index, 'model'), detail, way_out: 'register_vendor' }]);
    }),
  );
}

/** An agent as a run freezes it, but for who serves it: the template of its name fills in its prompt. */
export function frozen(
  { name, system_prompt, model = null, knowledge, ...given }: AgentInput,
  tools: AgentTool[],
): Omit<RunAgent, 'provider_id'> {
  const own = withSearch(tools, knowledge);
  const { max_turns, require_approval, agent_id, version, owner_id, is_closed } = given;
  return {
    name,
    system_prompt: system_prompt?.trim() || findTemplate(name)?.system_prompt || `You are an expert ${name}.`,
    model,
    ...(own.length && { tools: own }),
    ...(max_turns && { max_turns }),
    ...(require_approval && { require_approval }),
    ...(agent_id && { agent_id, version }),
    ...(owner_id && { owner_id }),
    ...(is_closed && { is_closed }),
  };
}

function notManaged(deps: ManagedDeps, model: string, path: Path): InvalidInputError {
  const detail = `"${model}" is none of this server's own models: ${managedNames(deps).join(', ')}.`;
  return new InvalidInputError([{ path, detail, way_out: 'register_provider' }]);
}

/**
 * The provider of an account that is asked where nothing names one: the newest of the vendor of `model`, or else a gateway, or else the
 * newest; of those vendors that are `supported`, and of the vendor that is `named`, where these are given.
 */
export async function servingProvider(
  db: Db,
  account_id: string,
  { model, named, supported }: { model: string | null; named?: Vendor | undefined; supported?: string[] | undefined },
): Promise<Pick<Provider, 'provider_id' | 'provider' | 'model' | 'gateway'> | undefined> {
  const own = (await listProviders(db, account_id)).filter(({ provider, gateway }) =>
    named ? provider === named : gateway || !supported || supported.includes(provider),
  );
  const vendor = model ? vendorOfModel(model) : undefined;
  return own.find(({ provider }) => provider === vendor) ?? own.find(({ gateway }) => gateway) ?? own[0];
}

/** The provider that a registered agent names, or what has replaced it. Throws `InvalidInputError`, at `path`, when neither is active. */
export async function usableProvider(
  db: Db,
  { account_id }: Principal,
  { name, provider_id }: { name: string; provider_id: string },
  path: Path,
): Promise<Provider> {
  const usable = await findUsableProvider(db, account_id, provider_id);
  if (usable) return usable;
  const mend = 'Change the agent, or register a provider that `replaces` it.';
  const detail = `Agent "${name}" asks the provider ${provider_id}, which is not active any more. ${mend}`;
  throw new InvalidInputError([{ path, detail }]);
}

/**
 * What a rerun asks: the `given` provider before all that its source has frozen, or what serves in the place of those by now.
 * An agent whose provider has nobody in its place is served as its model says, where it has one of a known vendor. What was called with
 * a key of its own, which is for no other run, is served by what the account has.
 */
export async function modelsAgain(
  db: Db,
  { account_id, mode }: Principal,
  source: Pick<Run, 'provider_id' | 'agents'>,
  given: string | null | undefined,
): Promise<{ provider_id: string | null; agents: AgentInput[] }> {
  if (given) return { provider_id: given, agents: source.agents.map((agent) => ({ ...agent, provider_id: null })) };
  const before = source.provider_id === null ? undefined : await findProvider(db, account_id, source.provider_id);
  if (before?.run_id) {
    const agents = source.agents.map((agent) => ({ ...agent, provider_id: null }));
    const provider = await servingProvider(db, account_id, { model: agents[0]?.model ?? null });
    const serves = ({ model }: RunAgent) =>
      !provider || provider.gateway || model === null || vendorOfModel(model) === provider.provider;
    return {
      provider_id: provider?.provider_id ?? null,
      agents: agents.map((agent) => (serves(agent) ? agent : { ...agent, model: null })),
    };
  }
  const findUsable = async (provider_id: string | null) =>
    provider_id === null ? undefined : (await findUsableProvider(db, account_id, provider_id))?.provider_id;
  const agents = source.agents.map(async (agent) => {
    const usable = await findUsable(agent.provider_id);
    const goesByVendor = agent.model !== null && vendorOfModel(agent.model) !== undefined;
    return { ...agent, provider_id: usable ?? (goesByVendor ? null : agent.provider_id) };
  });
  return {
    provider_id: (await findUsable(source.provider_id)) ?? (mode === 'test' ? null : source.provider_id),
    agents: await Promise.all(agents),
  };
}

/** Throws `NOT_FOUND`, naming each that is not an active provider of the account. */
export async function checkFallbacks(db: Db, { account_id }: Principal, provider_ids: string[]): Promise<void> {
  if (provider_ids.length === 0) return;
  const active = new Set((await listProviders(db, account_id)).map(({ provider_id }) => provider_id));
  const unknown = provider_ids.flatMap((provider_id, index) => (active.has(provider_id) ? [] : [index]));
  if (unknown.length > 0) throw providerNotFound(unknown.map((index) => ['fallback_provider_ids', index]));
}
