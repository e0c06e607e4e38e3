import { readFileSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { sql } from 'kysely';
import { createDb } from '../../db/index.ts';
import { createDatabase } from '../harness/orchflow.ts';

/** What `record.ts` has kept of a release. */

type Facts = { encryption_key: string; api_key: string; email: string; runs: Record<string, string> };

const read = (version: string, name: string) => readFileSync(path.join(import.meta.dirname, version, name));
const unpack = (version: string, name: string) => gunzipSync(read(version, name));

/** The account and the runs that are in it. */
export const readFacts = (version: string): Facts => JSON.parse(read(version, 'facts.json').toString());

/** The file of its Temporal. */
export const readTemporal = (version: string): Buffer => unpack(version, 'temporal.db.gz');

/** A new database that is as the release has left it. Returns its address. */
export async function restoreDatabase(version: string): Promise<string> {
  const url = await createDatabase('template0');
  // The text changes settings of its connection, which ends with it.
  const db = createDb(url, 1);
  await sql
    .raw(unpack(version, 'postgres.sql.gz').toString())
    .execute(db)
    .finally(() => db.destroy());
  return url;
}
