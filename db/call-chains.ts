import { sql, type Transaction } from 'kysely';
import type { Db } from './index.ts';
import type { AgentCall, Database, Provider } from './schema.ts';

/** Chains of calls: what has led to a run, what it has led to, and what that may cost. */

/** Whether a run is in the chain of calls that the account's `own` is in; of one that was not called, whether that has led to it. */
export async function isInChainOf(
  db: Db,
  account_id: string,
  { run_id, own }: { run_id: string; own: string },
): Promise<boolean> {
  const { rows } = await sql<{ is_in: boolean }>`
    with root as (select coalesce((select root_run_id from agent_calls where run_id = ${own}), ${own}) as run_id)
    select ${run_id} in (${own}, root.run_id) or exists (
      select from agent_calls as call
      where call.run_id = ${run_id} and call.account_id = ${account_id} and call.root_run_id = root.run_id
    ) as is_in
    from root`.execute(db);
  return rows[0]!.is_in;
}

/**
 * Whether a run is of another account's agent, or has been led to by one: then it is a stranger who says what it asks for, in the name
 * of the account.
 */
export async function isLedByOthers(db: Db, run_id: string): Promise<boolean> {
  const { rows } = await sql<{ is_led: boolean }>`
    with recursive above as (
      select parent_run_id, owner_id <> account_id as is_others from agent_calls where run_id = ${run_id}
      union all
      select call.parent_run_id, call.owner_id <> call.account_id
      from agent_calls as call join above on call.run_id = above.parent_run_id
    )
    select coalesce(bool_or(is_others), false) as is_led from above`.execute(db);
  return rows[0]!.is_led;
}

/** Whether a run is this one, or one that this has led to. */
export async function isBelow(db: Db, { run_id, own }: { run_id: string; own: string }): Promise<boolean> {
  const { rows } = await sql<{ is_below: boolean }>`
    with recursive above as (
      select ${run_id}::text as run_id
      union all
      select call.parent_run_id from agent_calls as call join above using (run_id) where call.parent_run_id is not null
    )
    select exists (select from above where run_id = ${own}) as is_below`.execute(db);
  return rows[0]!.is_below;
}

/**
 * How deep a run is in its chain of calls, and of how many runs above it code is at work, and waits for it, in whichever workers. It is
 * 0 and 0 for what nobody has called.
 */
export async function findCodeAbove(db: Db, run_id: string): Promise<{ depth: number; waiting: number }> {
  const { rows } = await sql<{ depth: number; waiting: number }>`
    with recursive above as (
      select parent_run_id, cardinality(chain) as depth from agent_calls where run_id = ${run_id}
      union
      select call.parent_run_id, above.depth from above join agent_calls as call on call.run_id = above.parent_run_id
    )
    select coalesce(max(depth), 0)::integer as depth, count(distinct code_runs.run_id)::integer as waiting
    from above left join code_runs on code_runs.run_id = above.parent_run_id and code_runs.ended is null`.execute(db);
  return rows[0]!;
}

/**
 * Bounds what a run may cost that another one calls: by what that may spend on one call, and on all of them, in US cents. What is
 * under way counts with all that it may cost. Calls at the same time come one after another. It may spend no more than that on what it
 * calls itself. Returns the cents that are left for it.
 */
export async function holdSpending(
  trx: Transaction<Database>,
  asked: { parent_run_id: string; run_id: string; per_call_cap?: number; spend_cap?: number },
): Promise<number> {
  const { parent_run_id, run_id, per_call_cap = null, spend_cap = null } = asked;
  await sql`select pg_advisory_xact_lock(hashtextextended(${parent_run_id}, 54))`.execute(trx);
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
    update agent_calls
    set downstream = downstream || jsonb_build_object('spend_cap', least((downstream ->> 'spend_cap')::numeric, ${Math.max(cents, 0)}::numeric))
    where run_id = ${run_id}`.execute(trx);
  await sql`
    update runs set max_cost_usd = least(max_cost_usd, ${Math.max(cents, 0)}::numeric / 100) where run_id = ${run_id}`.execute(
    trx,
  );
  return cents;
}

const mostOrphans = 100;

/** What is under way of calls by runs that were cancelled, or have failed, the oldest first: of those of a day, all of which have a deadline by then. */
export function listOrphans(db: Db): Promise<Pick<AgentCall, 'run_id' | 'account_id' | 'key_id'>[]> {
  return db
    .selectFrom('agent_calls')
    .innerJoin('runs', 'runs.run_id', 'agent_calls.run_id')
    .innerJoin('runs as parents', 'parents.run_id', 'parent_run_id')
    .select(['agent_calls.run_id', 'agent_calls.account_id', 'agent_calls.key_id'])
    .where('runs.status', 'not in', ['completed', 'failed', 'cancelled'])
    .where('parents.status', 'in', ['failed', 'cancelled'])
    .where('runs.account_id', 'is not', null)
    .where('parent_run_id', 'is not', null)
    .where('agent_calls.created_at', '>', sql<string>`now() - interval '1 day'`)
    .orderBy('agent_calls.created_at')
    .limit(mostOrphans)
    .execute();
}

/**
 * The key of a model that a call came with, or else the nearest one that has led to it, for it and what it calls itself; undefined
 * where none came with any.
 */
export function findKeyOfCall(db: Db, run_id: string): Promise<Provider | undefined> {
  return db
    .withRecursive('above', (above) =>
      above
        .selectFrom(sql<{ run_id: string; depth: number }>`(select ${run_id}::text as run_id, 0 as depth)`.as('own'))
        .select(['own.run_id', 'own.depth'])
        .unionAll(
          above
            .selectFrom('agent_calls')
            .innerJoin('above', 'above.run_id', 'agent_calls.run_id')
            .select([sql<string>`parent_run_id`.as('run_id'), sql<number>`depth + 1`.as('depth')])
            .where('parent_run_id', 'is not', null),
        ),
    )
    .selectFrom('above')
    .innerJoin('providers', 'providers.run_id', 'above.run_id')
    .selectAll('providers')
    .where('status', '=', 'active')
    .orderBy('depth')
    .limit(1)
    .executeTakeFirst();
}
