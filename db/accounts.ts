import { sql, type Insertable } from 'kysely';
import { holdAssignments } from './assignments.ts';
import { deleteFilesOf } from './files.ts';
import type { Db } from './index.ts';
import type { Database, Tier } from './schema.ts';

/** Creates an account with its first key. Returns false when the e-mail has one already; nothing is written then. */
export function insertAccount(
  db: Db,
  account: Insertable<Database['accounts']>,
  key: Omit<Insertable<Database['api_keys']>, 'account_id'>,
): Promise<boolean> {
  return db.transaction().execute(async (trx) => {
    const inserted = await trx
      .insertInto('accounts')
      .values(account)
      .onConflict((conflict) => conflict.doNothing())
      .returning('account_id')
      .executeTakeFirst();
    if (!inserted) return false;
    await trx
      .insertInto('api_keys')
      .values({ ...key, account_id: account.account_id })
      .execute();
    return true;
  });
}

/** The account of an e-mail, whatever its case, or undefined. */
export function findAccountByEmail(db: Db, email: string): Promise<{ account_id: string } | undefined> {
  return db
    .selectFrom('accounts')
    .select('account_id')
    .where(sql`lower(email)`, '=', sql`lower(${email})`)
    .executeTakeFirst();
}

/** For how long an account has been suspended, in milliseconds; null when it is not. */
export const suspendedMs = sql<number | null>`extract(epoch from now() - accounts.suspended_at)::float8 * 1000`;

/** Suspends an account, or ends that. One that is suspended already stays so since then. */
export async function setSuspended(db: Db, account_id: string, isSuspended: boolean): Promise<void> {
  await db
    .updateTable('accounts')
    .set({ suspended_at: isSuspended ? sql`coalesce(suspended_at, now())` : null })
    .where('account_id', '=', account_id)
    .execute();
}

/** Sets the tier of an account; null is none of its own. */
export async function setTier(db: Db, account_id: string, tier: Tier | null): Promise<void> {
  await db.updateTable('accounts').set({ tier }).where('account_id', '=', account_id).execute();
}

/** How much of what an account has is lost with it. `unfinished`: of its runs, those that have not ended. */
export type Holdings = {
  runs: number;
  unfinished: number;
  providers: number;
  mcp_servers: number;
  orchestrations: number;
  agents: number;
  knowledge_bases: number;
  files: number;
  people: number;
};

export async function countHoldings(db: Db, account_id: string): Promise<Holdings> {
  const { rows } = await sql<Holdings>`
    select
      (select count(*) from runs where account_id = ${account_id}) as runs,
      (select count(*) from runs where account_id = ${account_id}
       and status in ('pending', 'running', 'waiting_human')) as unfinished,
      (select count(*) from providers where account_id = ${account_id} and status = 'active') as providers,
      (select count(*) from mcp_servers where account_id = ${account_id}) as mcp_servers,
      (select count(*) from orchestrations where account_id = ${account_id}) as orchestrations,
      (select count(*) from agents where account_id = ${account_id}) as agents,
      (select count(*) from knowledge_bases where account_id = ${account_id}) as knowledge_bases,
      (select count(*) from files where account_id = ${account_id}) as files,
      (select count(*) from people where account_id = ${account_id}) as people`.execute(db);
  return rows[0]!;
}

/** Deletes all that an account has but its runs, at once: nobody comes in any more, and its runs wait. */
export async function closeAccount(db: Db, account_id: string): Promise<void> {
  await db.transaction().execute(async (trx) => {
    await trx
      .updateTable('accounts')
      .set({ suspended_at: sql`coalesce(suspended_at, now())` })
      .where('account_id', '=', account_id)
      .execute();
    // Whoever gives them gates locks several of them, in an order of their own.
    await holdAssignments(trx, account_id);
    const tables = [
      'people',
      'oauth_clients',
      'api_keys',
      'providers',
      'mcp_servers',
      'orchestrations',
      'agents',
      'knowledge_bases',
      'idempotency_keys',
    ] as const;
    for (const table of tables) await trx.deleteFrom(table).where('account_id', '=', account_id).execute();
    await deleteFilesOf(trx, account_id);
  });
}

/**
 * Deletes an account that has no runs any more, with what there is yet that is its own; false, and it stays, when it has one.
 * What it has spent of the operator's models stays in their sums, under no name.
 */
export function deleteClosedAccount(db: Db, account_id: string): Promise<boolean> {
  return db.transaction().execute(async (trx) => {
    // Whoever adds something to it has done so before, or finds it gone.
    await trx.selectFrom('accounts').select('account_id').where('account_id', '=', account_id).forUpdate().execute();
    const run = trx.selectFrom('runs').select('run_id').where('account_id', '=', account_id).limit(1);
    if (await run.executeTakeFirst()) return false;
    await sql`
      with spent as (delete from managed_spending where account_id = ${account_id} returning month, cost_usd)
      insert into managed_spending (month, account_id, cost_usd) select month, '', cost_usd from spent
      on conflict (month, account_id) do update
        set cost_usd = managed_spending.cost_usd + excluded.cost_usd`.execute(trx);
    // Of those that were purged before, webhooks may have been on their way.
    const purged = trx.selectFrom('purged_runs').select('run_id').where('account_id', '=', account_id);
    await trx.updateTable('runs').set({ webhook_url: null }).where('run_id', 'in', purged).execute();
    await trx.deleteFrom('assignment_looks').where('account_id', '=', account_id).execute();
    await trx.deleteFrom('accounts').where('account_id', '=', account_id).execute();
    return true;
  });
}
