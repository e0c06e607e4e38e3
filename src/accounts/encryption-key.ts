import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { createDb, isUnavailable, type Db } from '../../db/index.ts';
import { findForeignKeys } from '../../db/secrets.ts';
import { keyIds, OtherKeyError, type KeyRing } from '../crypto.ts';

/** Whether a process has the keys with which the secrets of its database are encrypted. */

/** @throws `OtherKeyError`, which says what to do, when there are secrets in use that none of the keys opens. */
export async function checkEncryptionKey(db: Db, keys: KeyRing): Promise<void> {
  const given = keyIds(keys);
  const foreign = await findForeignKeys(db, given);
  if (foreign.length === 0) return;
  const count = foreign.reduce((sum, { secrets }) => sum + secrets, 0);
  const others = foreign.map(({ key_id }) => key_id).join(', ');
  throw new OtherKeyError(
    `ENCRYPTION_KEY cannot open ${count} of the secrets in this database: they are encrypted with another key ` +
      `(its fingerprint: ${others}; of those given: ${given.join(', ')}). Set that one; to change it, list both with a ` +
      'comma between, the new one first, until `npm run reencrypt` is done. ' +
      'If it is lost, see "Changing the encryption key" in docs/deploy.md.',
  );
}

/**
 * Ends a process that has not the keys of its database, before it does anything there. While the database cannot be reached
 * the process may go on; it is looked at as soon as it can.
 */
export async function requireEncryptionKey(
  { DATABASE_URL, ENCRYPTION_KEY }: { DATABASE_URL: string; ENCRYPTION_KEY: KeyRing },
  log: Logger,
): Promise<void> {
  const db = createDb(DATABASE_URL, 1);

  async function isChecked(): Promise<boolean> {
    try {
      await checkEncryptionKey(db, ENCRYPTION_KEY);
      return true;
    } catch (error) {
      if (error instanceof OtherKeyError) {
        log.fatal(error.message);
        process.exit(1);
      }
      if (!isUnavailable(error)) throw error;
      return false;
    }
  }

  async function checkSoon(): Promise<void> {
    do await sleep(1_000, undefined, { ref: false });
    while (!(await isChecked()));
  }

  if (await isChecked()) return db.destroy();
  void checkSoon()
    .catch((error: unknown) => log.warn({ err: error }, 'the keys of the database were not looked at'))
    .finally(() => db.destroy());
}
