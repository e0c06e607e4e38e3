import { promises as fs } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { sql } from 'kysely';
import { FileMigrationProvider, Migrator } from 'kysely/migration';
import type { Db } from './index.ts';

/**
 * Brings the tables to the newest migration, then the SQL functions to what their files say. Returns the names of the
 * migrations that were applied. Safe to run by several processes at once: each of the two steps holds a lock.
 */
export async function migrateToLatest(db: Db): Promise<string[]> {
  const provider = new FileMigrationProvider({
    fs,
    path,
    migrationFolder: path.join(import.meta.dirname, 'migrations'),
    import: (file) => import(pathToFileURL(file).href),
  });
  const { error, results } = await new Migrator({ db, provider }).migrateToLatest();
  if (error) throw error;
  await replaceFunctions(db);
  return (results ?? []).map((result) => result.migrationName);
}

const functionsFolder = path.join(import.meta.dirname, 'functions');
/** Any number that nothing else in the database locks. */
const functionsLock = 7_023_410_018;

/** All of them at every start, so that there is nothing to remember about which are newer than their files. */
async function replaceFunctions(db: Db): Promise<void> {
  const files = (await fs.readdir(functionsFolder)).filter((name) => name.endsWith('.sql'));
  await db.transaction().execute(async (trx) => {
    // Two that replace a function at once fail with "tuple concurrently updated".
    await sql`select pg_advisory_xact_lock(${functionsLock})`.execute(trx);
    // A function may call one that is replaced after it.
    await sql`set local check_function_bodies = off`.execute(trx);
    for (const name of files.toSorted()) {
      await sql.raw(await fs.readFile(path.join(functionsFolder, name), 'utf8')).execute(trx);
    }
  });
}
