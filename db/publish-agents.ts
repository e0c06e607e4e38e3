import { sql } from 'kysely';
import { maxAgentVersions } from './agents.ts';
import { requireRoomForCode, type FileQuotas } from './files.ts';
import type { Db } from './index.ts';
import { holdAccount, limitReached, type Limited } from './limits.ts';
import { findOwnVersion, type Code, type Offer, type OfferedVersion } from './published-agents.ts';
import type { AgentSpec, AgentVersionRow } from './schema.ts';

/** Versions of agents as they are published, offered otherwise, and deleted, one after another in an account. */

/** A version to be published, of the account's agent of this name, or of a new one. */
export type NewVersion = {
  account_id: string;
  /** The agent that it is of; otherwise that of its name. */
  agent_id?: string;
  /** Of a new agent. */
  new_agent_id: string;
  version_id?: string | undefined;
  /** It is the first of a new agent: one of its name may not be there. */
  is_first?: true;
  /** Its number, where that is said: it must be the next. */
  number?: number | undefined;
  spec: AgentSpec;
  type: AgentVersionRow['type'];
  offer: Offer;
  code: Code;
};

/** A version was to have another number than the next of its agent. */
export class NotNext extends Error {
  override readonly name = 'NotNext';
  readonly next: number;

  constructor(next: number) {
    super(`The next version is v${next}.`);
    this.next = next;
  }
}

/**
 * Publishes a version, under the next number of its agent. A retry finds what its first try has published (`version_id`). Null when
 * the account has another agent of its name, any where it is to be the first, or none of its `agent_id`. Throws `LimitReached` when it
 * has `most` other agents, or the agent as many versions as it may have, or its code is too much; and `NotNext`.
 */
export function publishVersion(
  db: Db,
  version: NewVersion,
  { most, quotas }: { most: number; quotas: FileQuotas },
): Promise<OfferedVersion | null> {
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
    if (named && (version.is_first || named.agent_id !== agent_id)) return null;
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
    const { code_hash, bundle_size_bytes } = version.code;
    if (code_hash !== null && bundle_size_bytes !== null)
      await requireRoomForCode(trx, account_id, { code_hash, bundle_size_bytes }, quotas);
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
  { version_id, spec, type, offer, code, number: said }: NewVersion,
): Promise<string> {
  const number = Math.max(latest, last_number) + 1;
  if (said !== undefined && said !== number) throw new NotNext(number);
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

/**
 * Sets the code of a version of the account that has none yet, or had this. Returns false when it has none of this id, or with other
 * code. Throws `LimitReached` when it is too much for the account.
 */
export function setCode(
  db: Db,
  account_id: string,
  version_id: string,
  code: SentCode,
  quotas: FileQuotas,
): Promise<boolean> {
  return db.transaction().execute(async (trx) => {
    await holdAccount(trx, account_id);
    await requireRoomForCode(trx, account_id, code, quotas);
    const own = trx.selectFrom('agents').select('agent_id').where('account_id', '=', account_id);
    const { numUpdatedRows } = await trx
      .updateTable('agent_versions')
      .set(code)
      .where('version_id', '=', version_id)
      .where('agent_id', 'in', own)
      .where((eb) => eb.or([eb('code_hash', 'is', null), eb('code_hash', '=', code.code_hash)]))
      .executeTakeFirst();
    return numUpdatedRows > 0n;
  });
}

/** The code of a version, as it comes. */
export type SentCode = { code_hash: string; bundle_size_bytes: number; entrypoint: string | null };

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
