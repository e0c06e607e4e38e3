import { sql, type Transaction } from 'kysely';
import type { Db } from './index.ts';
import { listenerIsAlive } from './live-listener.ts';
import type { AgentCall, Database, PackageManifest } from './schema.ts';

/** Calls of agents as `org/agent@version`, and whose answer somebody waits for. */

/**
 * Keeps that a run does another one again that was a call, with what that may call and spend: nobody waits for its answer, nobody
 * has called it, and it has the tenant of the other. Nothing where that was no call.
 */
export async function copyCall(
  trx: Transaction<Database>,
  source: string,
  { run_id, key_id }: Pick<AgentCall, 'run_id' | 'key_id'>,
): Promise<void> {
  await sql`
    insert into agent_calls (run_id, account_id, key_id, owner_id, version_id, agent, version, endpoint, tenant, fingerprint,
      answered_at, root_run_id, chain, max_hops, downstream)
    select ${run_id}, account_id, ${key_id}, owner_id, version_id, agent, version, endpoint, tenant, fingerprint,
      now(), ${run_id}, array[agent || '@' || version], max_hops, downstream
    from agent_calls where run_id = ${source}`.execute(trx);
}

/** Who waits for an answer: a connection, and the process of the API that it is to. */
export type Waiter = { waiter: string; listener: number };

/** After so long an answer that nobody has got is nobody's any more: longer than clients wait, and ask again. */
const stays = sql`interval '15 minutes'`;

/**
 * Takes over the newest call of this key that asked for the same, and whose client has left without its answer: it hung up, or the
 * process that it waited at is gone. Its run is at work, however long that takes, or has completed, and of the end and the leaving the
 * later is not long ago; who asks again after a failure has it tried again. Of several who ask at once one gets it. Returns its run;
 * undefined when there is none.
 */
export async function takeLeftCall(
  db: Db,
  { key_id, fingerprint }: Pick<AgentCall, 'key_id' | 'fingerprint'>,
  waiter: Waiter,
): Promise<string | undefined> {
  const taken = await db
    .updateTable('agent_calls')
    .set({ ...waiter, left_at: null })
    .where('run_id', 'in', (left) =>
      left
        .selectFrom('agent_calls')
        .innerJoin('runs', 'runs.run_id', 'agent_calls.run_id')
        .select('agent_calls.run_id')
        .where('key_id', '=', key_id)
        .where('fingerprint', '=', fingerprint)
        .where('answered_at', 'is', null)
        .where('status', 'not in', ['failed', 'cancelled'])
        .where(sql<boolean>`(status <> 'completed' or greatest(left_at, completed_at) > now() - ${stays})`)
        .where(sql<boolean>`(listener is null or not ${listenerIsAlive(sql.ref('listener'))})`)
        .orderBy('agent_calls.created_at', 'desc')
        .limit(1)
        .forUpdate('agent_calls')
        .skipLocked(),
    )
    .returning('run_id')
    .executeTakeFirst();
  return taken?.run_id;
}

/** They have left without the answer, or are told to come back for it. Nothing where somebody else waits for it by now. */
export async function leaveCall(db: Db, waiter: string): Promise<void> {
  await db
    .updateTable('agent_calls')
    .set({ waiter: null, listener: null, left_at: sql<string>`now()` })
    .where('waiter', '=', waiter)
    .execute();
}

/** They have been answered: who asks for the same again wants it done again. */
export async function answerCall(db: Db, waiter: string): Promise<void> {
  await db
    .updateTable('agent_calls')
    .set({ waiter: null, listener: null, answered_at: sql<string>`now()` })
    .where('waiter', '=', waiter)
    .execute();
}

/** Who waits for the answer of a run now: another client of the same request. */
export async function hearAnswer(db: Db, run_id: string, waiter: Waiter): Promise<void> {
  await db
    .updateTable('agent_calls')
    .set({ ...waiter, left_at: null })
    .where('run_id', '=', run_id)
    .execute();
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

/** A run that was not called: its agent as that is called now, with what its version says of calls, and until when it has. */
export async function findUncalled(
  db: Db,
  account_id: string,
  run_id: string,
): Promise<
  { agent: string; version: string; manifest: PackageManifest | null; deadline_at: number | null } | undefined
> {
  const { rows } = await sql<{
    agent: string;
    version: string;
    manifest: PackageManifest | null;
    deadline_at: number | null;
  }>`
    select accounts.slug || '/' || coalesce(agents.name, own.agent ->> 'name') as agent,
      coalesce(own.agent ->> 'version', 'v1') as version, spec -> 'package' -> 'manifest' as manifest,
      (runs.agent_run ->> 'deadline_at')::float8 as deadline_at
    from runs
    join accounts using (account_id)
    cross join lateral (select (runs.agents -> 0)::jsonb as agent) as own
    left join agents on agents.agent_id::text = own.agent ->> 'agent_id' and agents.account_id = runs.account_id
    left join agent_versions on agent_versions.agent_id = agents.agent_id
      and 'v' || agent_versions.number = own.agent ->> 'version'
    where runs.run_id = ${run_id} and runs.account_id = ${account_id}`.execute(db);
  return rows[0];
}
