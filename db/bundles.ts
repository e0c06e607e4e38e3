import { sql, type RawBuilder } from 'kysely';
import type { Db } from './index.ts';
import type { Bundle } from './schema.ts';

/** Archives of code in the file store, by the hash of their content. */

/** Notes that an archive will be in the store, before it is; one that is there is kept again. */
export async function insertBundle(
  db: Db,
  bundle: Pick<Bundle, 'code_hash' | 'bundle_size_bytes' | 'unpacked_bytes' | 'files'>,
): Promise<void> {
  await db
    .insertInto('bundles')
    .values(bundle)
    .onConflict((conflict) => conflict.column('code_hash').doUpdateSet({ kept_at: sql`now()` }))
    .execute();
}

/** Notes that it is in the store. Returns when, by which `forgetBundle` knows whether somebody has kept it since. */
export async function finishBundle(db: Db, code_hash: string): Promise<string> {
  const { kept } = await db
    .updateTable('bundles')
    .set({ status: 'stored', kept_at: sql`clock_timestamp()` })
    .where('code_hash', '=', code_hash)
    .returning(sql<string>`kept_at::text`.as('kept'))
    .executeTakeFirstOrThrow();
  return kept;
}

/** An archive that is in the store; undefined when there is none. */
export function findBundle(db: Db, code_hash: string): Promise<Bundle | undefined> {
  const query = db.selectFrom('bundles').selectAll().where('code_hash', '=', code_hash).where('status', '=', 'stored');
  return query.executeTakeFirst();
}

const needless = sql<boolean>`
  not exists (select from agent_versions v where v.code_hash = bundles.code_hash)
  and not exists (
    select from runs
    where kind = 'agent' and completed_at is null and agent_run -> 'code' ->> 'code_hash' = bundles.code_hash)`;

type Remove = (code_hash: string) => Promise<void>;

/**
 * Forgets one archive that nobody needs, nor is about to, as it was kept an hour ago, once `remove` has taken it out of the store;
 * whoever keeps it again meanwhile waits, and then begins anew. Returns false when there is none.
 */
export function forgetUnusedBundle(db: Db, remove: Remove): Promise<boolean> {
  return forgetWhere(db, sql`kept_at < now() - interval '1 hour'`, remove);
}

/** The same of one archive, unless somebody has kept it since. */
export function forgetBundle(db: Db, bundle: { code_hash: string; kept_at: string }, remove: Remove): Promise<boolean> {
  const { code_hash, kept_at } = bundle;
  return forgetWhere(db, sql`code_hash = ${code_hash} and kept_at = ${kept_at}::timestamptz`, remove);
}

function forgetWhere(db: Db, condition: RawBuilder<boolean>, remove: Remove): Promise<boolean> {
  return db.transaction().execute(async (trx) => {
    const all = trx.selectFrom('bundles').select('code_hash').where(condition).where(needless);
    const found = await all.orderBy('kept_at').limit(1).forUpdate().skipLocked().executeTakeFirst();
    if (!found) return false;
    await remove(found.code_hash);
    await trx.deleteFrom('bundles').where('code_hash', '=', found.code_hash).execute();
    return true;
  });
}
