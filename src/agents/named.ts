import { listNamedAgents, versionNumber, type NamedAgentVersion } from '../../db/agents.ts';
import type { Db } from '../../db/index.ts';
import type { Principal } from '../accounts/principal.ts';
import { DomainError, requireNone, type FieldFault, type Path } from '../errors.ts';
import type { AgentInput } from './models.ts';

/** Agents as runs name them, and which registered ones they are. */

/** By its name, or by the id of a registered one; `version` is `v2` or `latest`, which it is unless given. */
export type NamedAgent = Omit<AgentInput, 'name' | 'agent_id' | 'version' | 'provider_id'> & {
  name?: string;
  agent_id?: string;
  version?: string;
};

type PathOf = (index: number, ...member: Path) => Path;
const inAgents: PathOf = (index, ...member) => ['agents', index, ...member];

/**
 * The agents of a run of a goal that are meant, as `registeredAgents` says. Throws as it does, and `InvalidInputError` when two
 * would have one name.
 */
export async function namedAgents(db: Db, principal: Principal, given: NamedAgent[]): Promise<AgentInput[]> {
  const agents = await registeredAgents(db, principal, given, inAgents);
  requireNone(
    agents.flatMap(({ name }, index): FieldFault[] => {
      const isTwice = agents.findIndex((other) => other.name.toLowerCase() === name.toLowerCase()) < index;
      return isTwice ? [{ path: inAgents(index), detail: `must have another name than "${name}"` }] : [];
    }),
  );
  return agents;
}

/**
 * The agents that are meant: a registered one fills in what is not given here. Those of a name that the account has not
 * registered stay as they are. Throws `NOT_FOUND`, at `pathOf`, for ids and versions that the account does not have.
 */
export async function registeredAgents(
  db: Db,
  { account_id }: Principal,
  given: NamedAgent[],
  pathOf: PathOf,
): Promise<AgentInput[]> {
  const names = given.map(({ agent_id = null, name = null, version = 'latest' }) => {
    const number = version === 'latest' ? null : versionNumber(version);
    return { agent_id, name, number };
  });
  const found = names.length > 0 ? await listNamedAgents(db, account_id, names) : [];
  requireFound(given, found, pathOf);
  return given.map((agent, index) => filledIn(agent, found[index]));
}

function requireFound(given: NamedAgent[], found: (NamedAgentVersion | undefined)[], pathOf: PathOf): void {
  const faults = given.flatMap(({ agent_id, version }, index): FieldFault[] => {
    if (agent_id !== undefined && !found[index]) {
      return [{ path: pathOf(index, 'agent_id'), detail: 'is not an agent of this account' }];
    }
    if (version === undefined || found[index]?.version) return [];
    return [{ path: pathOf(index, 'version'), detail: 'is not a version of an agent of this account' }];
  });
  if (faults.length === 0) return;
  const isOfVersions = found.some((agent) => agent?.version === null);
  throw new DomainError('NOT_FOUND', isOfVersions ? 'Agent version not found.' : 'Agent not found.', { faults });
}

/** What is given goes before what was registered. */
function filledIn({ name, version: _, agent_id: __, ...given }: NamedAgent, found?: NamedAgentVersion): AgentInput {
  if (!found?.version) return { name: name!, ...given };
  const { agent_id } = found;
  const { number, spec } = found.version;
  return {
    name: name ?? spec.name,
    agent_id,
    version: `v${number}`,
    system_prompt: given.system_prompt?.trim() ? given.system_prompt : spec.system_prompt,
    model: given.model ?? spec.model,
    provider_id: spec.provider_id,
    has_other_model: Boolean(given.model && given.model !== spec.model),
    tools: given.tools ?? spec.tools,
    knowledge: spec.knowledge,
    max_turns: given.max_turns ?? spec.max_turns,
    require_approval: given.require_approval ?? spec.require_approval,
  };
}
