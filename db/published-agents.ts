import { sql, type SqlBool } from 'kysely';
import { maxAgentVersions } from './agents.ts';
import type { Db } from './index.ts';
import { holdAccount, limitReached, type Limited } from './limits.ts';
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

/** The agent that is meant by its organisation and its name, whatever its case; `number` is null for the newest. */
export type OfferName = { org: string; agent: string; number: number | null };

/**
 * The versions of an agent that this account sees, the newest first that is not deprecated: all of its own, and the public ones of
 * others, while these are not suspended. Null is anybody. Without what may be long.
 */
export function listSeenVersions(
  db: Db,
  account_id: string | null,
  { org, agent }: Pick<OfferName, 'org' | 'agent'>,
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

/** A version to be published, of the account's agent of this name, or of a new one. */
export type NewVersion = {
  account_id: string;
  /** The agent that it is of; otherwise that of its name. */
  agent_id?: string;
  /** Of a new agent. */
  new_agent_id: string;
  version_id?: string | undefined;
  spec: AgentSpec;
  type: AgentVersionRow['type'];
  offer: Offer;
  code: Code;
};

/**
 * Publishes a version, under the next number of its agent. A retry finds what its first try has published (`version_id`). Null when
 * the account has another agent of its name, or none of its `agent_id`. Throws `LimitReached` when it has `most` other agents, or the
 * agent as many versions as it may have.
 */
export function publishVersion(db: Db, version: NewVersion, most: number): Promise<OfferedVersion | null> {
  const { account_id, version_id, spec } = version;
  return db.transaction().execute(async (trx) => {
    await holdAccount(trx, account_id);
    const known = version_id && (await findOwnVersion(trx, account_id, version_id));
    if (known) return known;
    const named = await trx
      .selectFrom('agents')
      .select(['agent_id', 'latest', 'last_number'])
      .where('account_id', '=', account_id)
      .where(sql`lower(name)`, '=', spec.name.toLowerCase())
      .executeTakeFirst();
    const { agent_id = named?.agent_id } = version;
    if (named && named.agent_id !== agent_id) return null;
    const agent = agent_id
      ? await trx
          .selectFrom('agents')
          .select(['agent_id', 'latest', 'last_number'])
          .where('account_id', '=', account_id)
          .where('agent_id', '=', agent_id)
          .executeTakeFirst()
      : await insertAgentOf(trx, version, most);
    if (!agent) return null;
    await requireRoom('versions of this agent', maxAgentVersions, countVersions(trx, agent.agent_id));
    return findOwnVersion(trx, account_id, await insertNext(trx, agent, version)).then((found) => found!);
  });
}

function countVersions(trx: Db, agent_id: string) {
  return trx
    .selectFrom('agent_versions')
    .select((eb) => eb.fn.countAll<string>().as('count'))
    .where('agent_id', '=', agent_id)
    .executeTakeFirstOrThrow();
}

async function requireRoom(what: Limited, most: number, counting: Promise<{ count: string }>): Promise<void> {
  if (Number((await counting).count) >= most) throw limitReached(what, most);
}

async function insertAgentOf(trx: Db, { account_id, new_agent_id, spec }: NewVersion, most: number) {
  const others = trx
    .selectFrom('agents')
    .select((eb) => eb.fn.countAll<string>().as('count'))
    .where('account_id', '=', account_id)
    .executeTakeFirstOrThrow();
  await requireRoom('agents', most, others);
  await trx.insertInto('agents').values({ account_id, agent_id: new_agent_id, name: spec.name }).execute();
  return { agent_id: new_agent_id, latest: 0, last_number: 0 };
}

async function insertNext(
  trx: Db,
  { agent_id, latest, last_number }: { agent_id: string; latest: number; last_number: number },
  { version_id, spec, type, offer, code }: NewVersion,
): Promise<string> {
  const number = Math.max(latest, last_number) + 1;
  const inserted = await trx
    .insertInto('agent_versions')
    .values({
      ...(version_id && { version_id }),
      agent_id,
      number,
      spec: JSON.stringify(spec),
      type,
      ...offer,
      ...code,
    })
    .returning('version_id')
    .executeTakeFirstOrThrow();
  await trx
    .updateTable('agents')
    .set({ name: spec.name, latest: number, last_number: number, updated_at: sql<string>`now()` })
    .where('agent_id', '=', agent_id)
    .execute();
  return inserted.version_id;
}

/** What of an offer is changed; what is deprecated is so from now on, and stays so since it was. */
export type OfferChange = Partial<Omit<Offer, 'deprecated_at'>> & { deprecated?: boolean };

/** Changes how a version of the account is offered. Returns false when it has none of this id. */
export async function updateOffer(
  db: Db,
  account_id: string,
  version_id: string,
  { deprecated, ...change }: OfferChange,
): Promise<boolean> {
  const since = deprecated ? sql<string>`coalesce(deprecated_at, now())` : null;
  const own = db.selectFrom('agents').select('agent_id').where('account_id', '=', account_id);
  const set = { ...change, ...(deprecated !== undefined && { deprecated_at: since }) };
  if (Object.keys(set).length === 0) return (await findOwnVersion(db, account_id, version_id)) !== undefined;
  const { numUpdatedRows } = await db
    .updateTable('agent_versions')
    .set(set)
    .where('version_id', '=', version_id)
    .where('agent_id', 'in', own)
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

/** Sets the code of a version of the account that has none yet, or had this. Returns false when it has none of this id, or with other code. */
export async function setCode(db: Db, account_id: string, version_id: string, code: Code): Promise<boolean> {
  const own = db.selectFrom('agents').select('agent_id').where('account_id', '=', account_id);
  const { numUpdatedRows } = await db
    .updateTable('agent_versions')
    .set(code)
    .where('version_id', '=', version_id)
    .where('agent_id', 'in', own)
    .where((eb) => eb.or([eb('code_hash', 'is', null), eb('code_hash', '=', code.code_hash)]))
    .executeTakeFirst();
  return numUpdatedRows > 0n;
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

/** Deletes a version of the account, and its agent with the last of them. Its number is given to no other. False when there is none. */
export function deleteVersion(db: Db, account_id: string, version_id: string): Promise<boolean> {
  return db.transaction().execute(async (trx) => {
    await holdAccount(trx, account_id);
    const version = await findOwnVersion(trx, account_id, version_id);
    if (!version) return false;
    const { agent_id } = version;
    await trx.deleteFrom('agent_versions').where('version_id', '=', version_id).execute();
    const { latest } = await trx
      .selectFrom('agent_versions')
      .select((eb) => eb.fn.max('number').as('latest'))
      .where('agent_id', '=', agent_id)
      .executeTakeFirstOrThrow();
    if (latest === null) await trx.deleteFrom('agents').where('agent_id', '=', agent_id).execute();
    else {
      const last_number = sql<number>`greatest(last_number, latest)`;
      await trx.updateTable('agents').set({ latest, last_number }).where('agent_id', '=', agent_id).execute();
    }
    return true;
  });
}
