import { deleteAgentKey, insertAgentKey, listAgentKeys, type AgentKeyView } from '../../db/agent-keys.ts';
import type { Db } from '../../db/index.ts';
import type { OfferedVersion } from '../../db/published-agents.ts';
import { makeKey } from '../accounts/keys.ts';
import type { Principal } from '../accounts/principal.ts';
import { hasScope, missingScope, type Scope } from '../accounts/scopes.ts';
import { notFound } from '../errors.ts';
import type { IdSeed } from '../ids.ts';

/** What the code of an agent has to call other agents in the name of its account: a key for that alone, which goes with the agent. */

const agentKeyScopes: Scope[] = ['agents:call'];
const maxAgentKeys = 10;

type Deps = { db: Db };
type Agent = Pick<OfferedVersion, 'agent_id' | 'name'>;

/** What who asks lacks of the scopes that such a key has; undefined where nothing. */
export function lackingForAgentKey({ scopes }: Principal): string | undefined {
  return ['keys:write', ...agentKeyScopes].find((scope) => !hasScope(scopes, scope));
}

/** Makes a key for an agent of the account, which ends with that of who asks. Who asks has its scopes too. Throws `MISSING_SCOPE` and `LimitReached`. */
export async function createAgentKey(
  { db }: Deps,
  principal: Principal,
  { agent_id, name }: Agent,
  seed?: IdSeed,
): Promise<AgentKeyView & { api_key: string }> {
  const lacking = lackingForAgentKey(principal);
  if (lacking) throw missingScope(lacking);
  const { account_id, mode, expires_at = null } = principal;
  const { api_key, row } = makeKey(`Agent ${name}`, agentKeyScopes, { mode, live_prefix: 'sk_' }, seed);
  const created = await insertAgentKey(db, { ...row, account_id, agent_id, expires_at }, maxAgentKeys);
  return { ...created, api_key };
}

/** The keys of an agent, newest first. */
export function agentKeys({ db }: Deps, { account_id }: Principal, { agent_id }: Agent): Promise<AgentKeyView[]> {
  return listAgentKeys(db, account_id, agent_id);
}

/** Takes a key of an agent back. Throws `NOT_FOUND`. */
export async function revokeAgentKey(
  { db }: Deps,
  { account_id }: Principal,
  { agent_id }: Agent,
  key_id: string,
): Promise<void> {
  if (!(await deleteAgentKey(db, account_id, agent_id, key_id))) throw notFound('Key');
}
