import { sql } from 'kysely';
import { versionName, versionsOfAgents, type AgentVersion } from './agents.ts';
import type { Db } from './index.ts';
import { byTime, onPage, type Page, type Sorting } from './pages.ts';
import type { AgentSpec } from './schema.ts';

/** The agents of an account, as lists show them: each as its newest version says. */

/** An agent in a list: without its prompt and its schemas, which may be long. */
export type AgentSummary = Omit<AgentVersion, 'type' | 'spec' | 'version_created_at' | 'code_hash' | 'entrypoint'> &
  Pick<AgentSpec, 'name' | 'description' | 'model' | 'provider_id'>;

/** The account's agents, newest first. */
export async function listAgents(db: Db, account_id: string): Promise<AgentSummary[]> {
  return summaries(db, account_id).orderBy('agents.created_at', 'desc').orderBy('agents.agent_id').execute();
}

/** All that is given holds of each agent; a name whatever its case. */
export type AgentFilter = { name?: string; model?: string; provider_id?: string };

/** A page of a list: what it is sorted by, ties by the id, and the last agent before it. */
export type AgentPage = Page & { sort: 'created_at' | 'updated_at' | 'name' };

const sortings: Record<AgentPage['sort'], Sorting> = {
  created_at: byTime('agents.created_at', 'agents.agent_id'),
  updated_at: byTime('agents.updated_at', 'agents.agent_id'),
  // By code points: the same on every server.
  name: { by: sql`agents.name collate "C"`, id: sql`agents.agent_id`, type: sql`text` },
};

/** A page of the account's agents. */
export function listAgentPage(
  db: Db,
  account_id: string,
  { name, model, provider_id }: AgentFilter,
  { sort, ...page }: AgentPage,
): Promise<AgentSummary[]> {
  const agents = summaries(db, account_id)
    .$if(name !== undefined, (query) => query.where(sql<boolean>`lower(agents.name) = lower(${name})`))
    .$if(model !== undefined, (query) => query.where(said('model'), '=', model!))
    .$if(provider_id !== undefined, (query) => query.where(said('provider_id'), '=', provider_id!));
  return onPage(agents, sortings[sort], page).execute();
}

function said(field: 'description' | 'model' | 'provider_id') {
  return sql<string | null>`spec ->> ${sql.lit(field)}`;
}

function summaries(db: Db, account_id: string) {
  return versionsOfAgents(db, account_id)
    .whereRef('number', '=', 'latest')
    .select(['agents.agent_id', 'name', versionName.as('version'), 'version_id'])
    .select([said('description').as('description'), said('model').as('model')])
    .select(said('provider_id').as('provider_id'))
    .select(['agents.created_at', 'agents.updated_at']);
}

/** The numbers of the versions of the account's agent of this name, whatever its case, and that of the next one. */
export async function findNextVersion(
  db: Db,
  account_id: string,
  name: string,
): Promise<{ numbers: number[]; next: number }> {
  const found = await versionsOfAgents(db, account_id)
    .where(sql`lower(agents.name)`, '=', name.toLowerCase())
    .select(['number', sql<number>`greatest(last_number, latest)`.as('last')])
    .orderBy('number')
    .execute();
  return { numbers: found.map(({ number }) => number), next: (found[0]?.last ?? 0) + 1 };
}
