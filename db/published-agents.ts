import { sql, type SqlBool } from 'kysely';
import type { Db } from './index.ts';
import type { AgentSpec, AgentVersionRow } from './schema.ts';

/** Versions of agents as they are offered: to their own account all of them, to others those that are public. */

/** How a version is offered, which may change while what it does does not. */
export type Offer = Pick<
  AgentVersionRow,
  'is_public' | 'callable' | 'allow_local_download' | 'price_cents' | 'tags' | 'deprecated_at'
>;

/** The code that a version runs. */
export type Code = Pick<AgentVersionRow, 'code_hash' | 'bundle_size_bytes' | 'entrypoint'>;

/** A version with its agent and whose it is. `is_gone`: it was deprecated too long ago to be called. */
export type OfferedVersion = Offer &
  Code & {
    version_id: string;
    agent_id: string;
    account_id: string;
    org_slug: string;
    name: string;
    number: number;
    type: AgentVersionRow['type'];
    spec: AgentSpec;
    is_gone: boolean;
    /** Its account is. */
    is_suspended: boolean;
    created_at: string;
  };

/** For so long a version is called after it was deprecated, in days. */
export const deprecationDays = 60;

export const isGone = sql<boolean>`coalesce(agent_versions.deprecated_at < now() - ${sql.lit(deprecationDays)} * interval '1 day', false)`;

/** Versions of agents of accounts, whoever asks. */
export function offeredVersions(db: Db) {
  return db
    .selectFrom('agent_versions')
    .innerJoin('agents', 'agents.agent_id', 'agent_versions.agent_id')
    .innerJoin('accounts', 'accounts.account_id', 'agents.account_id')
    .select([
      'version_id',
      'agents.agent_id',
      'agents.account_id',
      'accounts.slug as org_slug',
      'agents.name',
      'number',
    ])
    .select(['type', 'is_public', 'callable', 'allow_local_download', 'price_cents', 'agent_versions.tags'])
    .select(['deprecated_at', 'code_hash', 'bundle_size_bytes', 'entrypoint', 'agent_versions.created_at'])
    .select([isGone.as('is_gone'), sql<boolean>`accounts.suspended_at is not null`.as('is_suspended')]);
}

/** That of this id, of the account. */
export function findOwnVersion(db: Db, account_id: string, version_id: string): Promise<OfferedVersion | undefined> {
  return offeredVersions(db)
    .select('spec')
    .where('version_id', '=', version_id)
    .where('agents.account_id', '=', account_id)
    .executeTakeFirst();
}

/** What lists show of a version: all but its prompt, its files and its loop, which may be long. */
export const briefSpec = sql<AgentSpec>`
  case when spec::jsonb ? 'package'
    then (spec::jsonb - 'system_prompt') #- '{package,skill_files}' #- '{package,loop}'
    else spec::jsonb - 'system_prompt' end`;

/** The versions of all agents of the account, newest first, without what may be long. */
export function listOwnVersions(
  db: Db,
  account_id: string,
  { limit, offset }: { limit: number; offset: number },
): Promise<OfferedVersion[]> {
  return offeredVersions(db)
    .select(briefSpec.as('spec'))
    .where('agents.account_id', '=', account_id)
    .orderBy('agent_versions.created_at', 'desc')
    .orderBy('number', 'desc')
    .orderBy('version_id')
    .limit(limit)
    .offset(offset)
    .execute();
}

/**
 * The versions of an agent, by its name in whatever case, that this account sees, the newest first that is not deprecated: all of its own, and the public ones of
 * others, while these are not suspended. Null is anybody. Without what may be long.
 */
export function listSeenVersions(
  db: Db,
  account_id: string | null,
  { org, agent }: { org: string; agent: string },
): Promise<Omit<OfferedVersion, 'spec'>[]> {
  return offeredVersions(db)
    .where('accounts.slug', '=', org)
    .where(sql`lower(agents.name)`, '=', agent.toLowerCase())
    .where(seenBy(account_id))
    .orderBy(sql`deprecated_at is not null`)
    .orderBy('number', 'desc')
    .execute();
}

function seenBy(account_id: string | null) {
  return sql<SqlBool>`(agents.account_id = ${account_id} or (is_public and accounts.suspended_at is null))`;
}

/** Those of these ids, with all that they say. */
export function listVersions(db: Db, version_ids: string[]): Promise<OfferedVersion[]> {
  if (version_ids.length === 0) return Promise.resolve([]);
  return offeredVersions(db).select('spec').where('version_id', 'in', version_ids).execute();
}

/** The newest version of an agent. */
export async function findNewestOf(db: Db, agent_id: string): Promise<string | undefined> {
  const found = await db
    .selectFrom('agent_versions')
    .select('version_id')
    .where('agent_id', '=', agent_id)
    .orderBy('number', 'desc')
    .limit(1)
    .executeTakeFirst();
  return found?.version_id;
}

/** How many other accounts have called a version. */
export async function countCallers(db: Db, { account_id, version_id }: OfferedVersion): Promise<number> {
  const { callers } = await db
    .selectFrom('agent_calls')
    .select(sql<number>`count(distinct account_id)::integer`.as('callers'))
    .where('owner_id', '=', account_id)
    .where('version_id', '=', version_id)
    .where('account_id', '<>', account_id)
    .executeTakeFirstOrThrow();
  return callers;
}
