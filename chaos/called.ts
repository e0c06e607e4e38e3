import { sql } from 'kysely';
import type { Db } from '../db/index.ts';
import { listenerIsAlive } from '../db/live-listener.ts';
import type { AgentCall } from '../db/schema.ts';
import type { Account } from './accounts.ts';
import type { Requests } from './requests.ts';

/** What is known of calls of agents in the end. */

/**
 * A call, with what its run has cost as it was added up; null where it has cost nothing. `is_waited`: somebody is said to wait for its answer,
 * at an API that is there.
 */
export type Called = AgentCall & { cost_usd: string | null; is_waited: boolean };

export async function readCalled(db: Db) {
  const called = await db
    .selectFrom('agent_calls')
    .leftJoin('run_costs', 'run_costs.run_id', 'agent_calls.run_id')
    .selectAll('agent_calls')
    .select('cost_usd')
    .select(sql<boolean>`waiter is not null and ${listenerIsAlive(sql.ref('listener'))}`.as('is_waited'))
    .orderBy('agent_calls.created_at')
    .execute();
  const code_runs = await db.selectFrom('code_runs').selectAll().orderBy('started_at').orderBy('try').execute();
  const bundles = await db.selectFrom('bundles').selectAll().execute();
  const slugs = await sql<{ account_id: string; slug: string }>`select account_id, slug from accounts`.execute(db);
  return {
    called: called as Called[],
    code_runs,
    bundles,
    organisations: new Map(slugs.rows.map(({ slug, account_id }) => [slug, account_id])),
  };
}

/** What an account is told by `/usage`. */
export type UsageTold = { org: string; all: Told; tenants: Told[]; agents: Told[]; byOthers: Told; compute: Told };
type Told = Record<string, any>;

/** Undefined when not all of it could be had. */
export async function readUsage({ read }: Pick<Requests, 'read'>, account: Account): Promise<UsageTold | undefined> {
  async function ask(path: string): Promise<Told | undefined> {
    const { outcome, body } = await read(account, { op: 'usage', account: account.name }, path);
    return outcome === 'ok' ? (body as Told) : undefined;
  }
  const [all, agents, byOthers, compute] = [
    await ask('/usage?by=tenant'),
    await ask('/usage/breakdown?by=agent'),
    await ask('/usage?calls=by_others'),
    await ask('/usage/compute'),
  ];
  if (!all || !agents || !byOthers || !compute) return undefined;
  return { org: account.org, all, tenants: all.tenants, agents: agents.breakdown, byOthers, compute };
}
