import { sql, type Insertable, type Transaction } from 'kysely';
import type { Db } from './index.ts';
import { listenerIsAlive } from './live.ts';
import type { AgentCall, AgentSpec, Database, PackageType } from './schema.ts';

/** Calls of agents as `org/agent@version`: which agent that is, and whose answer somebody waits for. */

/** A version of an agent, as it is called. `owner_id` is the account whose it is. */
export type Callee = {
  owner_id: string;
  org: string;
  agent_id: string;
  version_id: string;
  version: string;
  spec: AgentSpec;
  type: PackageType;
  is_public: boolean;
  callable: boolean;
  price_cents: number | null;
  deprecated_at: string | null;
  /** When it goes; null while it is not deprecated. */
  sunset_at: string | null;
  is_gone: boolean;
  /** The newest version after it that is not deprecated; null when there is none. */
  successor: string | null;
};

/** A deprecated version may be called for so long. */
const deprecation = sql`interval '60 days'`;

/**
 * The version of an organisation's agent that an account means, by its number, or null for the newest. Undefined when there is none,
 * or when it is another account's and not public: to who asks that is the same.
 */
export async function findCallee(
  db: Db,
  account_id: string,
  { org, agent, number }: { org: string; agent: string; number: number | null },
): Promise<Callee | undefined> {
  const { rows } = await sql<Callee>`
    select agents.account_id as owner_id, slug as org, agents.agent_id, v.version_id, 'v' || v.number as version, v.spec, v.type,
      v.is_public, v.callable, v.price_cents, v.deprecated_at, v.deprecated_at + ${deprecation} as sunset_at,
      coalesce(v.deprecated_at + ${deprecation} < now(), false) as is_gone,
      (select 'v' || max(later.number) from agent_versions as later
        where later.agent_id = v.agent_id and later.number > v.number and later.deprecated_at is null
          and (later.is_public or agents.account_id = ${account_id})) as successor
    from accounts
    join agents on agents.account_id = accounts.account_id and lower(agents.name) = lower(${agent})
    join agent_versions as v on v.agent_id = agents.agent_id and (v.is_public or agents.account_id = ${account_id})
    where slug = ${org} and (${number}::integer is null or v.number = ${number})
    order by v.number desc
    limit 1`.execute(db);
  return rows[0];
}

/** Keeps what a run was called as, with the run. */
export async function insertCall(trx: Transaction<Database>, call: Insertable<Database['agent_calls']>): Promise<void> {
  await trx.insertInto('agent_calls').values(call).execute();
}

/** After so long an answer that nobody has got is nobody's any more: longer than clients wait, and ask again. */
const stays = sql`interval '15 minutes'`;

/**
 * Takes over the newest call of this key that asked for the same, and whose client has left without its answer: it hung up, or the
 * process that it waited at is gone. Of several who ask at once one gets it. Returns its run; undefined when there is none.
 */
export async function takeLeftCall(
  db: Db,
  { key_id, fingerprint, listener }: Pick<AgentCall, 'key_id' | 'fingerprint'> & { listener: number },
): Promise<string | undefined> {
  const taken = await db
    .updateTable('agent_calls')
    .set({ listener })
    .where('run_id', 'in', (left) =>
      left
        .selectFrom('agent_calls')
        .select('run_id')
        .where('key_id', '=', key_id)
        .where('fingerprint', '=', fingerprint)
        .where('answered_at', 'is', null)
        .where('created_at', '>', sql<string>`now() - ${stays}`)
        .where(sql<boolean>`(listener is null or not ${listenerIsAlive(sql.ref('listener'))})`)
        .orderBy('created_at', 'desc')
        .limit(1)
        .forUpdate()
        .skipLocked(),
    )
    .returning('run_id')
    .executeTakeFirst();
  return taken?.run_id;
}

/** Its client has left without the answer, or is told to come back for it. */
export async function leaveCall(db: Db, run_id: string, listener: number): Promise<void> {
  await db
    .updateTable('agent_calls')
    .set({ listener: null })
    .where('run_id', '=', run_id)
    .where('listener', '=', listener)
    .execute();
}

/** Its client is being answered: who asks for the same again wants it done again. */
export async function answerCall(db: Db, run_id: string): Promise<void> {
  await db
    .updateTable('agent_calls')
    .set({ answered_at: sql<string>`coalesce(answered_at, now())` })
    .where('run_id', '=', run_id)
    .execute();
}

/** Who waits for the answer of a run now: another client of the same request. */
export async function hearAnswer(db: Db, run_id: string, listener: number): Promise<void> {
  await db.updateTable('agent_calls').set({ listener }).where('run_id', '=', run_id).execute();
}

/** As what a run of the account was called; undefined where it was not. */
export function findCall(db: Db, account_id: string, run_id: string): Promise<AgentCall | undefined> {
  return db
    .selectFrom('agent_calls')
    .selectAll()
    .where('run_id', '=', run_id)
    .where('account_id', '=', account_id)
    .executeTakeFirst();
}

/**
 * Bounds what a run may cost that another one calls: by what that may spend on one call, and on all of them, in US cents. What is
 * under way counts with all that it may cost. Calls at the same time come one after another. Returns the cents that are left for it.
 */
export async function holdSpending(
  trx: Transaction<Database>,
  asked: { parent_run_id: string; run_id: string; per_call_cap?: number; spend_cap?: number },
): Promise<number> {
  const { parent_run_id, run_id, per_call_cap = null, spend_cap = null } = asked;
  await sql`select from agent_calls where run_id = ${parent_run_id} for update`.execute(trx);
  const { rows } = await sql<{ cents: number }>`
    with recursive below as (
      select run_id, 1 as depth from agent_calls where parent_run_id = ${parent_run_id} and run_id <> ${run_id}
      union all
      select agent_calls.run_id, depth + 1 from agent_calls join below on agent_calls.parent_run_id = below.run_id
    )
    select least(${per_call_cap}::numeric, ${spend_cap}::numeric - 100 * coalesce(sum(
      case when depth = 1 and runs.status not in ('completed', 'failed', 'cancelled')
        then greatest(runs.max_cost_usd, cost_usd) else coalesce(cost_usd, 0) end), 0))::float8 as cents
    from below join runs using (run_id) left join run_costs using (run_id)`.execute(trx);
  const cents = rows[0]!.cents;
  await sql`
    update runs set max_cost_usd = least(max_cost_usd, ${Math.max(cents, 0)}::numeric / 100) where run_id = ${run_id}`.execute(
    trx,
  );
  return cents;
}
