import { sql, type Insertable } from 'kysely';
import { holdAssignments } from './assignments.ts';
import { deleteFilesOf } from './files.ts';
import type { Db } from './index.ts';
import { holdAccount } from './limits.ts';
import { lockManaged } from './managed-budget.ts';
import type { Database, Tier } from './schema.ts';

/**
 * Creates an account with its first key, under the first of the slugs that is free. Returns false when the e-mail has one already;
 * nothing is written then.
 */
export function insertAccount(
  db: Db,
  account: Omit<Insertable<Database['accounts']>, 'slug'>,
  slugs: string[],
  key: Omit<Insertable<Database['api_keys']>, 'account_id'>,
): Promise<boolean> {
  return db.transaction().execute(async (trx) => {
    for (const slug of slugs) {
      if (await isKeptFromOthers(trx, slug)) continue;
      const inserted = await trx
        .insertInto('accounts')
        .values({ ...account, slug })
        .onConflict((conflict) => conflict.doNothing())
        .returning('account_id')
        .executeTakeFirst();
      if (!inserted && (await findAccountByEmail(trx, account.email))) return false;
      if (!inserted) continue;
      await trx
        .insertInto('api_keys')
        .values({ ...key, account_id: account.account_id })
        .execute();
      return true;
    }
    throw new Error('None of the slugs of a new account is free.');
  });
}

/** By which others call agents, or have called them. */
async function isKeptFromOthers(trx: Pick<Db, 'selectFrom'>, slug: string, account_id?: string): Promise<boolean> {
  const kept = await trx.selectFrom('kept_slugs').selectAll().where('slug', '=', slug).executeTakeFirst();
  return kept !== undefined && kept.account_id !== account_id;
}

/** An account as an organisation. */
export type Organisation = { account_id: string; name: string; email: string; slug: string; created_at: string };

export function findOrganisation(db: Db, account_id: string): Promise<Organisation | undefined> {
  return db
    .selectFrom('accounts')
    .select(['account_id', 'name', 'email', 'slug', 'created_at'])
    .where('account_id', '=', account_id)
    .executeTakeFirst();
}

/** An account that goes from slug to slug would keep all of them from others. */
export const mostKeptSlugs = 10;

/**
 * Changes the name and the slug of an account. Says why not: another has the slug, or had public agents under it; others find agents
 * by the one that it has; or it keeps as many as it may.
 */
export function updateOrganisation(
  db: Db,
  account_id: string,
  { name, slug }: { name?: string | undefined; slug?: string | undefined },
): Promise<'changed' | 'slug_taken' | 'slug_in_use' | 'too_many_slugs'> {
  return db.transaction().execute(async (trx) => {
    await holdAccount(trx, account_id);
    const before = await findOrganisation(trx, account_id);
    if (slug !== undefined && slug !== before?.slug) {
      const offered = await trx
        .selectFrom('agents')
        .innerJoin('agent_versions', 'agent_versions.agent_id', 'agents.agent_id')
        .select('version_id')
        .where('account_id', '=', account_id)
        .where('is_public', '=', true)
        .executeTakeFirst();
      if (offered) return 'slug_in_use';
      if (await isKeptFromOthers(trx, slug, account_id)) return 'slug_taken';
      const kept = await trx.selectFrom('kept_slugs').select('slug').where('account_id', '=', account_id).execute();
      if (kept.length >= mostKeptSlugs && !kept.some((one) => one.slug === slug)) return 'too_many_slugs';
      const free = sql<boolean>`not exists (select from accounts other where other.slug = ${slug})`;
      const { numUpdatedRows } = await trx
        .updateTable('accounts')
        .set({ slug })
        .where('account_id', '=', account_id)
        .where(free)
        .executeTakeFirst();
      if (numUpdatedRows === 0n) return 'slug_taken';
    }
    if (name !== undefined)
      await trx.updateTable('accounts').set({ name }).where('account_id', '=', account_id).execute();
    return 'changed';
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
    await lockManaged(trx);
    await trx.updateTable('managed_spending').set({ account_id: '' }).where('account_id', '=', account_id).execute();
    // Of those that were purged before, webhooks may have been on their way.
    const purged = trx.selectFrom('purged_runs').select('run_id').where('account_id', '=', account_id);
    await trx.updateTable('runs').set({ webhook_url: null }).where('run_id', 'in', purged).execute();
    await trx.deleteFrom('assignment_looks').where('account_id', '=', account_id).execute();
    await trx.deleteFrom('usage_deltas').where('account_id', '=', account_id).execute();
    await trx.deleteFrom('accounts').where('account_id', '=', account_id).execute();
    return true;
  });
}
