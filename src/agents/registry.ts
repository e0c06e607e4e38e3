import {
  deleteAgent,
  findAgent,
  findAgentVersion,
  insertAgent,
  maxAgentVersions,
  updateAgent,
  versionNumber,
  type AgentVersion,
} from '../../db/agents.ts';
import type { Db } from '../../db/index.ts';
import { listKnownBases } from '../../db/knowledge-bases.ts';
import { LimitReached, limitReached } from '../../db/limits.ts';
import { findActiveProvider } from '../../db/providers.ts';
import type { AgentSpec } from '../../db/schema.ts';
import type { ToolChoice } from '../../workflows/contract/definition.ts';
import type { Principal } from '../accounts/principal.ts';
import { hasScope, missingScope } from '../accounts/scopes.ts';
import { noMoreAgents, tiers } from '../accounts/tiers.ts';
import { DomainError, notFound, providerNotFound, requireNone } from '../errors.ts';
import { newId, type IdSeed } from '../ids.ts';
import type { Tool } from '../tools/index.ts';
import { chooseTools } from './tools.ts';

/** The agents that an account registers once, and uses in many runs. */

type Deps = { db: Db; tools: Tool[] };

/** What is given of an agent; the rest is as it was, or as `unsaidAgent`. */
export type AgentRequest = Partial<Omit<AgentSpec, 'tools'>> & { tools?: ToolChoice[] };

/** Of an agent of which nothing else is said. Its order is that in which every version is written. */
export const unsaidAgent: Omit<AgentSpec, 'name'> = {
  description: null,
  system_prompt: null,
  model: null,
  provider_id: null,
  tools: [],
  knowledge: [],
  max_turns: 15,
  timeout_seconds: 3_600,
  require_approval: false,
  max_cost_usd: null,
  max_tokens: null,
  on_budget: 'gate',
  input_schema: null,
  output_schema: null,
};

/**
 * Registers an agent, as its version `v1`. A retry of the request finds what its first try made. Throws `AGENT_EXISTS` when
 * the account has one of this name, `NOT_FOUND` for a provider and `InvalidInputError` for tools that it does not have, and
 * `TIER_LIMIT_REACHED` when it has as many agents as its tier gives, or, without one, `LimitReached` when it has `most`.
 */
export async function createAgent(
  deps: Deps,
  principal: Principal,
  { name, ...given }: AgentRequest & { name: string },
  most: number,
  idempotency: IdSeed | undefined,
): Promise<AgentVersion> {
  const known = await knownParts(deps, principal, given);
  const { account_id } = principal;
  const agent_id = newId('agent', idempotency);
  const { tier } = principal;
  const spec = { name, ...unsaidAgent, ...known };
  const created = await insertAgent(deps.db, { account_id, agent_id, spec }, tier ? tiers[tier].agents : most).catch(
    (error: unknown) => {
      throw tier && error instanceof LimitReached ? noMoreAgents(tier) : error;
    },
  );
  if (!created) throw nameTaken(name);
  return created;
}

/**
 * Changes an agent, which makes its next version; where nothing is changed, none. Runs that are under way keep what they
 * froze. Throws as `createAgent`, and `NOT_FOUND`; and `PRECONDITION_FAILED` when its newest version is none of these
 * `version_ids`, where any are given.
 */
export async function changeAgent(
  deps: Deps,
  principal: Principal,
  agent_id: string,
  given: AgentRequest,
  version_ids?: string[],
): Promise<AgentVersion> {
  const known = await knownParts(deps, principal, given);
  const change = (spec: AgentSpec) => ({ ...spec, ...known });
  const changed = await updateAgent(deps.db, principal.account_id, agent_id, change, version_ids);
  if ('agent' in changed) return changed.agent;
  switch (changed.refused) {
    case 'not_found':
      throw notFound('Agent');
    case 'name_taken':
      throw nameTaken(given.name!);
    case 'too_many_versions':
      throw limitReached('versions of this agent', maxAgentVersions);
    case 'other_version':
      throw new DomainError('PRECONDITION_FAILED', `The agent is at ${changed.version} by now.`);
  }
}

/** Deletes an agent. Runs that use it, also those that wait, have all of it that they need. Throws `NOT_FOUND`. */
export async function removeAgent({ db }: { db: Db }, { account_id }: Principal, agent_id: string): Promise<void> {
  if (!(await deleteAgent(db, account_id, agent_id))) throw notFound('Agent');
}

/** An agent of the account at a version: `v2`, or `latest`. Throws `NOT_FOUND`. */
export async function getAgent(
  { db }: { db: Db },
  { account_id }: Principal,
  agent_id: string,
  version = 'latest',
): Promise<AgentVersion> {
  const found =
    version === 'latest'
      ? await findAgent(db, account_id, agent_id)
      : await findAgentVersion(db, account_id, agent_id, versionNumber(version));
  if (found) return found;
  const isThere = version !== 'latest' && (await findAgent(db, account_id, agent_id));
  throw notFound(isThere ? 'Agent version' : 'Agent');
}

/** What is given, when the account has the tools and the provider that it names. A blank prompt is none. */
async function knownParts(
  deps: Deps,
  principal: Principal,
  { tools, ...given }: AgentRequest,
): Promise<Partial<AgentSpec>> {
  const { provider_id, system_prompt } = given;
  if (provider_id && !(await findActiveProvider(deps.db, principal.account_id, provider_id))) {
    throw providerNotFound([['provider_id']]);
  }
  if (given.knowledge) await requireBases(deps.db, principal, given.knowledge);
  const known = system_prompt?.trim() === '' ? { ...given, system_prompt: null } : given;
  if (!tools) return known;
  const [chosen] = await chooseTools(deps, principal, [{ tools }], (_agent, tool) => ['tools', tool]);
  return { ...known, tools: chosen! };
}

/**
 * What an agent searches in can be read in what it says. Throws `MISSING_SCOPE` for a key that may not, and `InvalidInputError` at
 * those that are no knowledge bases of the account.
 */
async function requireBases(db: Db, { account_id, scopes }: Principal, knowledge: string[]): Promise<void> {
  if (knowledge.length > 0 && !hasScope(scopes, 'knowledge:read')) throw missingScope('knowledge:read', ['knowledge']);
  const known = new Set(await listKnownBases(db, account_id, knowledge));
  const unknown = knowledge.flatMap((id, index) => (known.has(id) ? [] : [index]));
  const detail = 'is not a knowledge base of this account';
  requireNone(unknown.map((index) => ({ path: ['knowledge', index], detail })));
}

export function nameTaken(name: string): DomainError {
  const faults = [{ path: ['name'], detail: 'is the name of another agent of this account' }];
  return new DomainError('AGENT_EXISTS', `There is an agent "${name}" already.`, { faults });
}
