import { sql } from 'kysely';
import type { Db } from './index.ts';
import { holdAccount, withinLimit } from './limits.ts';
import type { AgentSpec, JsonSchema, PackageType } from './schema.ts';

/** The agents of accounts, and what each of their versions says. */

/** So many versions an agent may have. */
export const maxAgentVersions = 100;

/** An agent as one of its versions says; `updated_at` is when its newest was made. */
export type AgentVersion = {
  agent_id: string;
  version: string;
  version_id: string;
  type: PackageType;
  spec: AgentSpec;
  /** Of its code, where it has any. */
  code_hash: string | null;
  entrypoint: string | null;
  created_at: string;
  updated_at: string;
  version_created_at: string;
};

/** A version in a list. */
export type VersionSummary = Pick<AgentVersion, 'version' | 'version_id' | 'created_at'> & { is_latest: boolean };

/** What becomes of a change: the agent as it is now, or why not. */
export type ChangedAgent =
  | { agent: AgentVersion }
  | { refused: 'name_taken' | 'too_many_versions' | 'not_found' }
  | { refused: 'other_version'; version: string };

/** The number of a version such as `v2`. */
export function versionNumber(version: string): number {
  return Number(version.slice(1));
}

export const versionName = sql<string>`'v' || agent_versions.number`;

/** All versions of all agents of the account. */
export function versionsOfAgents(db: Db, account_id: string) {
  return db
    .selectFrom('agents')
    .innerJoin('agent_versions', 'agent_versions.agent_id', 'agents.agent_id')
    .where('agents.account_id', '=', account_id);
}

function wholeVersions(db: Db, account_id: string) {
  return versionsOfAgents(db, account_id).select([
    'agents.agent_id',
    'version_id',
    versionName.as('version'),
    'type',
    'spec',
    'code_hash',
    'entrypoint',
    'agents.created_at',
    'agents.updated_at',
    'agent_versions.created_at as version_created_at',
  ]);
}

/**
 * Registers an agent with its first version. One of this id that is there already comes from the first try of the request.
 * Undefined when the account has another of this name. Throws `LimitReached` when it has `most` others.
 */
export async function insertAgent(
  db: Db,
  { account_id, agent_id, spec }: { account_id: string; agent_id: string; spec: AgentSpec },
  most: number,
): Promise<AgentVersion | undefined> {
  const others = sql<{ count: number }>`
    select count(*) from agents where account_id = ${account_id} and agent_id <> ${agent_id}`;
  return withinLimit(db, account_id, { what: 'agents', most, others }, async (trx) => {
    const known = await findAgent(trx, account_id, agent_id);
    if (known) return known;
    if (await hasName(trx, account_id, agent_id, spec.name)) return undefined;
    await trx.insertInto('agents').values({ account_id, agent_id, name: spec.name }).execute();
    await insertVersion(trx, agent_id, 1, spec);
    return findAgent(trx, account_id, agent_id);
  });
}

/** Of an account whose row is held, so that nobody takes the name meanwhile. */
async function hasName(trx: Db, account_id: string, agent_id: string, name: string): Promise<boolean> {
  const other = await trx
    .selectFrom('agents')
    .select('agent_id')
    .where('account_id', '=', account_id)
    .where(sql`lower(name)`, '=', sql`lower(${name})`)
    .where('agent_id', '<>', agent_id)
    .executeTakeFirst();
  return other !== undefined;
}

async function insertVersion(trx: Db, agent_id: string, number: number, spec: AgentSpec): Promise<void> {
  await trx
    .insertInto('agent_versions')
    .values({ agent_id, number, spec: JSON.stringify(spec) })
    .execute();
}

/** The newest version of the account's agent of this id. */
export async function findAgent(db: Db, account_id: string, agent_id: string): Promise<AgentVersion | undefined> {
  const found = await wholeVersions(db, account_id)
    .where('agents.agent_id', '=', agent_id)
    .whereRef('number', '=', 'latest')
    .executeTakeFirst();
  return found && { ...found, spec: whole(found.spec) };
}

/** Versions of the releases before have no knowledge. */
function whole(spec: AgentSpec): AgentSpec {
  return { ...spec, knowledge: spec.knowledge ?? [] };
}

/** The version of this number of the account's agent. */
export async function findAgentVersion(
  db: Db,
  account_id: string,
  agent_id: string,
  number: number,
): Promise<AgentVersion | undefined> {
  const found = await wholeVersions(db, account_id)
    .where('agents.agent_id', '=', agent_id)
    .where('number', '=', number)
    .executeTakeFirst();
  return found && { ...found, spec: whole(found.spec) };
}

/** An agent as it is named: by its id or else its name, and the number of its version, or null for the newest. */
export type AgentName = { agent_id: string | null; name: string | null; number: number | null };

/** Who answers to a name; `version` is null when the agent has none of that number. */
export type NamedAgentVersion = { agent_id: string; version: { number: number; spec: AgentSpec } | null };

/** Which agent of the account is meant by each name, whatever its case; undefined where there is none. A skill package is no agent. */
export async function listNamedAgents(
  db: Db,
  account_id: string,
  names: AgentName[],
): Promise<(NamedAgentVersion | undefined)[]> {
  const { rows } = await sql<NamedAgentVersion & { place: number }>`
    select place::integer, agents.agent_id,
      case when v.number is not null then jsonb_build_object('number', v.number, 'spec', spec) end as version
    from rows from (jsonb_to_recordset(${JSON.stringify(names)}::jsonb) as (agent_id text, name text, number integer))
      with ordinality as given (agent_id, name, number, place)
    join agents on account_id = ${account_id}
      and case when given.agent_id is null then lower(agents.name) = lower(given.name) else agents.agent_id = given.agent_id end
      and not exists (
        select from agent_versions s where s.agent_id = agents.agent_id and s.number = latest and s.type = 'skill')
    left join agent_versions v on v.agent_id = agents.agent_id and v.number = coalesce(given.number, latest)`.execute(
    db,
  );
  return names.map((_, index) => rows.find(({ place }) => place === index + 1));
}

/** The versions of an agent, newest first; undefined when the account has no such agent. */
export async function listAgentVersions(
  db: Db,
  account_id: string,
  agent_id: string,
): Promise<VersionSummary[] | undefined> {
  const found = await versionsOfAgents(db, account_id)
    .where('agents.agent_id', '=', agent_id)
    .select([versionName.as('version'), 'version_id', 'agent_versions.created_at'])
    .select(sql<boolean>`number = latest`.as('is_latest'))
    .orderBy('number', 'desc')
    .execute();
  return found.length > 0 ? found : undefined;
}

/** What the output of a run of an agent must fit, while a person is asked to approve it; undefined when it need not. */
export async function findSchemaOfOutput(
  db: Db,
  account_id: string,
  run_id: string,
  task_id: string,
): Promise<JsonSchema | undefined> {
  const run = await db
    .selectFrom('runs')
    .innerJoin('gates', 'gates.run_id', 'runs.run_id')
    .select('agent_run')
    .where('runs.run_id', '=', run_id)
    .where('runs.account_id', '=', account_id)
    .where('runs.kind', '=', 'agent')
    .where('task_id', '=', task_id)
    .where('gates.kind', '=', 'approval')
    .where('gates.status', '=', 'open')
    .executeTakeFirst();
  return run?.agent_run?.output_schema ?? undefined;
}

/**
 * Changes an agent: `change` makes what its next version says of what the newest says. One that says the same makes no
 * version. Those who change it do so one after another; where `version_ids` are given, only an agent whose newest is one of them.
 */
export function updateAgent(
  db: Db,
  account_id: string,
  agent_id: string,
  change: (spec: AgentSpec) => AgentSpec,
  version_ids?: string[],
): Promise<ChangedAgent> {
  return db.transaction().execute(async (trx): Promise<ChangedAgent> => {
    // Names are an account's matter: whoever gives one holds its row.
    await holdAccount(trx, account_id);
    const before = await findAgent(trx, account_id, agent_id);
    if (!before) return { refused: 'not_found' };
    if (version_ids && !version_ids.includes(before.version_id)) {
      return { refused: 'other_version', version: before.version };
    }
    const spec = change(before.spec);
    if (JSON.stringify(spec) === JSON.stringify(before.spec)) return { agent: before };
    if (await hasName(trx, account_id, agent_id, spec.name)) return { refused: 'name_taken' };
    const number = await insertNextVersion(trx, agent_id, before, spec);
    if (number === undefined) return { refused: 'too_many_versions' };
    await trx
      .updateTable('agents')
      .set({ name: spec.name, latest: number, updated_at: sql<string>`now()` })
      .where('agent_id', '=', agent_id)
      .execute();
    return { agent: (await findAgent(trx, account_id, agent_id))! };
  });
}

/**
 * Adds a version after `before`, the newest: with its code, and offered as it is, but to nobody else until that is said of it.
 * Returns its number; undefined when the agent has as many versions as it may.
 */
async function insertNextVersion(
  trx: Db,
  agent_id: string,
  before: AgentVersion,
  spec: AgentSpec,
): Promise<number | undefined> {
  const { rows } = await sql<{ number: number }>`
    insert into agent_versions (agent_id, number, spec, type, callable, allow_local_download, price_cents, tags,
      code_hash, bundle_size_bytes, entrypoint)
    select agent_id, greatest(last_number, latest) + 1, ${JSON.stringify(spec)}, type, callable, allow_local_download,
      price_cents, tags, code_hash, bundle_size_bytes, entrypoint
    from agents join agent_versions using (agent_id)
    where version_id = ${before.version_id}
      and (select count(*) from agent_versions v where v.agent_id = ${agent_id}) < ${maxAgentVersions}
    returning number`.execute(trx);
  return rows[0]?.number;
}

/** Deletes an agent with its versions; runs keep what they froze. Returns false when the account has none of this id. */
export function deleteAgent(db: Db, account_id: string, agent_id: string): Promise<boolean> {
  return db.transaction().execute(async (trx) => {
    // Nobody is about to add a version to it.
    await holdAccount(trx, account_id);
    const { numDeletedRows } = await trx
      .deleteFrom('agents')
      .where('account_id', '=', account_id)
      .where('agent_id', '=', agent_id)
      .executeTakeFirst();
    return numDeletedRows > 0n;
  });
}
