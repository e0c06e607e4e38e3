import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import type { Db } from './index.ts';

/** Dimensions that embedding models commonly have. */
const sizes = [256, 384, 512, 768, 1024, 1536];

/** Any number that nothing else in the database locks. */
const lock = 7_023_410_019;
const lockPause_ms = 1_000;

/**
 * Makes the indexes of nearest neighbours that are not there yet, where the database has pgvector. Each takes as long as there
 * are passages, and shuts out neither readers nor writers. May be called by several processes at once.
 */
export async function makeNearestIndexes(db: Db): Promise<void> {
  await db.connection().execute(async (connection) => {
    if ((await listMissing(connection)).length === 0) return;
    // Who waits within a statement is waited for by who makes an index: the two would wait for each other.
    for (; !(await takeLock(connection)); await sleep(lockPause_ms));
    try {
      for (const { name, size } of await listMissing(connection)) {
        // One that could not be made to its end is there, and of no use.
        await sql`drop index concurrently if exists ${sql.ref(name)}`.execute(connection);
        const vector = sql`(embedding::vector(${sql.lit(size)})) vector_cosine_ops`;
        await sql`
          create index concurrently ${sql.ref(name)} on chunks using hnsw (${vector}) where dimensions = ${sql.lit(size)}`.execute(
          connection,
        );
      }
    } finally {
      await sql`select pg_advisory_unlock(${lock})`.execute(connection);
    }
  });
}

async function takeLock(db: Db): Promise<boolean> {
  const { rows } = await sql<{ isTaken: boolean }>`select pg_try_advisory_lock(${lock}) as "isTaken"`.execute(db);
  return rows[0]!.isTaken;
}

async function listMissing(db: Db): Promise<{ name: string; size: number }[]> {
  const { rows } = await sql<{ name: string; size: number }>`
    select name, size from unnest(${sizes}::integer[]) as size, lateral concat('chunks_nearest_', size) as name
    where has_pgvector()
      and not exists (select from pg_index where indexrelid = to_regclass(name) and indisvalid)`.execute(db);
  return rows;
}
