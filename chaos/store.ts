import { readdir, readFile, utimes } from 'node:fs/promises';
import path from 'node:path';
import { sql } from 'kysely';
import { pino } from 'pino';
import type { Db } from '../db/index.ts';
import { createFolderStore } from '../src/files/folder.ts';
import { removeDeletedFiles } from '../src/files/keep.ts';
import { sha256Of } from './files.ts';

/** The folder in which the files of accounts lie. */

/** A file as it lies there. */
export type Stored = { file_id: string; size: number; sha256: string };

/** What is in the folder, and what is on its way there, once housekeeping has been; nobody sends anything any more. */
export async function readStore(db: Db, dir: string): Promise<{ stored: Stored[]; incoming: string[] }> {
  const store = createFolderStore(dir);
  await letHourPass(db, store.incoming);
  await removeDeletedFiles({ db, files: store, log: pino({ level: 'silent' }) }, AbortSignal.timeout(60_000));
  const place = path.join(dir, 'stored');
  const stored = await Promise.all(
    (await namesIn(place)).map(async (file_id) => {
      const bytes = await readFile(path.join(place, file_id));
      return { file_id, size: bytes.length, sha256: sha256Of(bytes) };
    }),
  );
  return { stored, incoming: await namesIn(store.incoming) };
}

/** An upload that has died is known by its age, for which nobody waits here. */
async function letHourPass(db: Db, incoming: string): Promise<void> {
  await sql`update files set created_at = created_at - interval '2 hours' where status = 'uploading'`.execute(db);
  const before = Date.now() / 1_000 - 2 * 3_600;
  for (const name of await namesIn(incoming)) await utimes(path.join(incoming, name), before, before);
}

const namesIn = (place: string) => readdir(place).catch(() => []);
