import { promises as fs } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { sql, type Kysely } from 'kysely';
import { FileMigrationProvider, Migrator, type Migration } from 'kysely/migration';
import type { Db } from './index.ts';
import { makeNearestIndexes } from './nearest-indexes.ts';

/** For a table that another session holds. Meanwhile it is tried again and again, each time for seconds only. */
const lockPatience_ms = 5 * 60_000;
const lockPause_ms = 2_000;
// lock_not_available, deadlock_detected
const lockFaults = ['55P03', '40P01'];

/**
 * Brings the tables to the newest migration and the SQL functions to what their files say: where there is a migration to
 * apply, in one transaction, so that nobody meets tables with functions that do not know them. Returns the names of the
 * migrations that were applied. Indexes of pgvector are made after all that. Safe to run by several processes at once: each of the two steps holds a lock.
 * `onHeld` hears, each time, that another session holds a table; after five minutes of it, that is the error.
 */
export async function migrateToLatest(db: Db, { onHeld = () => {} } = {}): Promise<string[]> {
  const migrator = new Migrator({ db, provider: { getMigrations } });
  // Who waits for a table stops all who come after, so a migration gives up soon, and lets them by.
  for (const deadline = performance.now() + lockPatience_ms; ; await sleep(lockPause_ms)) {
    const { error, results } = await migrator.migrateToLatest();
    if (!error) {
      await db.transaction().execute(replaceFunctions);
      await makeNearestIndexes(db);
      return (results ?? []).map((result) => result.migrationName);
    }
    if (!lockFaults.includes((error as { code?: string }).code ?? '') || performance.now() > deadline) throw error;
    onHeld();
  }
}

/** Those of the folder. Kysely applies all that are new in one transaction, and the last one brings the functions too. */
async function getMigrations(): Promise<Record<string, Migration>> {
  const files = new FileMigrationProvider({
    fs,
    path,
    migrationFolder: path.join(import.meta.dirname, 'migrations'),
    import: (file) => import(pathToFileURL(file).href),
  });
  const migrations = await files.getMigrations();
  const last = Object.keys(migrations).toSorted().at(-1)!;
  const up = async (trx: Kysely<any>) => {
    await migrations[last]!.up(trx);
    await replaceFunctions(trx);
  };
  return { ...migrations, [last]: { up } };
}

const functionsFolder = path.join(import.meta.dirname, 'functions');
/** Any number that nothing else in the database locks. */
const functionsLock = 7_023_410_018;

/** All of them at every start, so that there is nothing to remember about which are newer than their files. */
async function replaceFunctions(trx: Kysely<any>): Promise<void> {
  const files = (await fs.readdir(functionsFolder)).filter((name) => name.endsWith('.sql'));
  // Two that replace a function at once fail with "tuple concurrently updated".
  await sql`select pg_advisory_xact_lock(${functionsLock})`.execute(trx);
  // A function may call one that is replaced after it.
  await sql`set local check_function_bodies = off`.execute(trx);
  for (const name of files.toSorted()) {
    await sql.raw(await fs.readFile(path.join(functionsFolder, name), 'utf8')).execute(trx);
  }
  // The server may have it since the last time.
  await sql`select use_pgvector()`.execute(trx);
}
