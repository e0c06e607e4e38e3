import { sql } from 'kysely';
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

/** Notes that it is in the store. */
export async function finishBundle(db: Db, code_hash: string): Promise<void> {
  await db
    .updateTable('bundles')
    .set({ status: 'stored', kept_at: sql`now()` })
    .where('code_hash', '=', code_hash)
    .execute();
}

/** An archive that is in the store; undefined when there is none. */
export function findBundle(db: Db, code_hash: string): Promise<Bundle | undefined> {
  const query = db.selectFrom('bundles').selectAll().where('code_hash', '=', code_hash).where('status', '=', 'stored');
  return query.executeTakeFirst();
}

/** Nobody is about to need what was kept so long ago. */
const needless = sql<boolean>`
  kept_at < now() - interval '1 hour'
  and not exists (select from agent_versions v where v.code_hash = bundles.code_hash)
  and not exists (
    select from runs
    where kind = 'agent' and completed_at is null and agent_run -> 'code' ->> 'code_hash' = bundles.code_hash)`;

/**
 * Forgets one archive that nobody needs, once `remove` has taken it out of the store; whoever keeps it again meanwhile waits, and
 * then begins anew. Returns false when there is none.
 */
export function forgetUnusedBundle(db: Db, remove: (code_hash: string) => Promise<void>): Promise<boolean> {
  return db.transaction().execute(async (trx) => {
    const unused = trx.selectFrom('bundles').select('code_hash').where(needless).orderBy('kept_at').limit(1);
    const found = await unused.forUpdate().skipLocked().executeTakeFirst();
    if (!found) return false;
    await remove(found.code_hash);
    await trx.deleteFrom('bundles').where('code_hash', '=', found.code_hash).execute();
    return true;
  });
}
