import { closeAccount, deleteClosedAccount } from '../../db/accounts.ts';
import { removeGoneChunks } from '../../db/chunks.ts';
import type { Db } from '../../db/index.ts';
import { purgeRunsOf } from '../../db/purges.ts';

const batch = 100;

/**
 * Deletes an account with all that it has: first its keys and secrets, then its runs, those cancelled that have not ended, at
 * last itself. When it is interrupted, another call goes on. Returns how many runs it had, and how many it has cancelled.
 */
export async function deleteAccount(db: Db, account_id: string): Promise<{ purged: number; cancelled: number }> {
  await closeAccount(db, account_id);
  const all = { purged: 0, cancelled: 0 };
  do {
    for (let some = batch; some > 0;) {
      const { purged, cancelled } = await purgeRunsOf(db, account_id, batch);
      all.purged += purged;
      all.cancelled += cancelled;
      some = purged;
    }
    // A request that was let in before its key was gone may have begun another.
  } while (!(await deleteClosedAccount(db, account_id)));
  await removeGoneChunks(db);
  return all;
}
