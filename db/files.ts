import { sql, type Transaction } from 'kysely';
import type { Db } from './index.ts';
import { AccountGone, holdAccount, limitReached, LimitReached } from './limits.ts';
import type { Bundle, Database, File } from './schema.ts';

const viewColumns = ['file_id', 'name', 'media_type', 'size', 'sha256', 'created_at'] as const;

/** A file as its account reads it. */
export type FileView = Pick<File, (typeof viewColumns)[number]>;

export type NewFile = Pick<File, 'file_id' | 'name' | 'media_type' | 'size' | 'sha256'> & { account_id: string };

/** How many files an account may have, and how many bytes they may have together. */
export type FileQuotas = { most: number; most_bytes: number };

/** Throws `LimitReached` when a file of so many bytes, the last of so many, would be too much for the account. */
export async function requireRoomForFile(
  db: Db,
  account_id: string,
  size: number,
  { most, most_bytes }: FileQuotas,
  more = 1,
): Promise<void> {
  const { count, bytes } = await kept(db, account_id);
  if (count + more > most) throw limitReached('files', most);
  if (bytes + size > most_bytes) throw noRoom(size, bytes, most_bytes);
}

/** Throws `LimitReached` when this code would be too much beside the files of the account and the code of its agents. */
export async function requireRoomForCode(
  db: Db,
  account_id: string,
  { code_hash, bundle_size_bytes }: Pick<Bundle, 'code_hash' | 'bundle_size_bytes'>,
  { most_bytes }: FileQuotas,
): Promise<void> {
  const { bytes, code_hashes } = await kept(db, account_id);
  if (code_hashes.includes(code_hash) || bytes + bundle_size_bytes <= most_bytes) return;
  throw noRoom(bundle_size_bytes, bytes, most_bytes);
}

/** What an account has in the store: the code of several versions counts once. */
async function kept(db: Db, account_id: string): Promise<{ count: number; bytes: number; code_hashes: string[] }> {
  const { rows } = await sql<{ count: number; bytes: number; code_hashes: string[] }>`
    with own as (
      select distinct code_hash, bundle_size_bytes as size from agent_versions
      where code_hash is not null and agent_id in (select agent_id from agents where account_id = ${account_id}))
    select count(*)::integer as count,
      (coalesce(sum(size), 0) + (select coalesce(sum(size), 0) from own))::float8 as bytes,
      array(select code_hash from own) as code_hashes
    from files where account_id = ${account_id}`.execute(db);
  return rows[0]!;
}

function noRoom(more: number, bytes: number, most_bytes: number): LimitReached {
  return new LimitReached(
    `The files of this account, and the code of its agents, may have ${most_bytes} bytes together, and have ${bytes}: there is no room for ${more} more. Delete some.`,
  );
}

/** Notes that a file will be in the store, before it is. Nobody finds it yet. Throws `LimitReached`. */
export async function insertFile(db: Db, file: NewFile, quotas: FileQuotas): Promise<void> {
  await db.transaction().execute(async (trx) => {
    await holdAccount(trx, file.account_id);
    await requireRoomForFile(trx, file.account_id, file.size, quotas);
    await trx.insertInto('files').values(file).execute();
  });
}

/** Notes which request has made a file. Returns the one that it has made before, and notes nothing, where there is one. */
export async function claimRequest(
  trx: Transaction<Database>,
  request_id: string,
  file_id: string,
): Promise<FileView | undefined> {
  const before = trx.selectFrom('files').select(viewColumns).where('request_id', '=', request_id);
  const known = await before.executeTakeFirst();
  if (!known) await trx.updateTable('files').set({ request_id }).where('file_id', '=', file_id).execute();
  return known;
}

/** Their account was deleted while they were put, or it took longer than an upload may. */
export class UploadsGone extends Error {
  override readonly name = 'UploadsGone';
}

/** Notes that files are in the store. Throws `UploadsGone`. */
export async function storeFiles(trx: Transaction<Database>, account_id: string, file_ids: string[]): Promise<void> {
  if (file_ids.length === 0) return;
  const { numUpdatedRows } = await trx
    .updateTable('files')
    .set({ status: 'stored' })
    .where('file_id', 'in', file_ids)
    .where('account_id', '=', account_id)
    .where('status', '=', 'uploading')
    .executeTakeFirst();
  if (Number(numUpdatedRows) < file_ids.length) throw new UploadsGone();
}

/** One transaction while the account is there. Throws `UploadsGone`. */
export function whileAccountIsThere(
  db: Db,
  account_id: string,
  work: (trx: Transaction<Database>) => Promise<void>,
): Promise<void> {
  const done = db.transaction().execute(async (trx) => {
    await holdAccount(trx, account_id);
    await work(trx);
  });
  return done.catch((error: unknown) => {
    throw error instanceof AccountGone ? new UploadsGone() : error;
  });
}

/** Nobody finds these files any more that are there; the store is to follow. */
export async function deleteFiles(trx: Transaction<Database>, file_ids: string[]): Promise<void> {
  if (file_ids.length === 0) return;
  await trx.updateTable('files').set(forgotten).where('file_id', 'in', file_ids).execute();
}

function ownFiles(db: Db, account_id: string) {
  return db.selectFrom('files').select(viewColumns).where('account_id', '=', account_id).where('status', '=', 'stored');
}

/** Undefined when the account has none of this id. */
export function findFile(db: Db, account_id: string, file_id: string): Promise<FileView | undefined> {
  return ownFiles(db, account_id).where('file_id', '=', file_id).executeTakeFirst();
}

/** Those of these ids that the account has. */
export async function listFilesByIds(db: Db, account_id: string, file_ids: string[]): Promise<FileView[]> {
  if (file_ids.length === 0) return [];
  return ownFiles(db, account_id).where('file_id', 'in', file_ids).execute();
}

/** The account's files, newest first. */
export function listFiles(
  db: Db,
  account_id: string,
  { limit, after }: { limit: number; after: { created_at: string; id: string } | undefined },
): Promise<FileView[]> {
  return ownFiles(db, account_id)
    .$if(after !== undefined, (query) =>
      query.where(sql<boolean>`(created_at, file_id) < (${after!.created_at}::timestamptz, ${after!.id})`),
    )
    .orderBy('created_at', 'desc')
    .orderBy('file_id', 'desc')
    .limit(limit)
    .execute();
}

const forgotten = {
  status: 'deleted',
  account_id: null,
  name: '',
  media_type: '',
  sha256: '',
  request_id: null,
} as const;

/** Nobody finds the file any more; the store is to follow. Returns false when the account has none of this id. */
export async function deleteFile(db: Db, account_id: string, file_id: string): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('files')
    .set(forgotten)
    .where('file_id', '=', file_id)
    .where('account_id', '=', account_id)
    .where('status', '=', 'stored')
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

/** The same of all files of an account that is deleted. */
export async function deleteFilesOf(db: Db, account_id: string): Promise<void> {
  await db.updateTable('files').set(forgotten).where('account_id', '=', account_id).execute();
}

/** An upload lasts no longer: one that is older has died. */
const longestUpload = sql`interval '1 hour'`;

/** Has removed what uploads have left that died, none of which is finished from now on. */
export async function markDeadFiles(db: Db): Promise<void> {
  await db
    .updateTable('files')
    .set(forgotten)
    .where(
      sql<boolean>`(status = 'uploading' and created_at < now() - ${longestUpload})
      or (status = 'stored' and account_id is null)`,
    )
    .execute();
}

/** Up to `limit` ids, after this one, of files that are to be removed from the store. */
export async function listFilesToRemove(db: Db, after: string, limit: number): Promise<string[]> {
  const rows = await db
    .selectFrom('files')
    .select('file_id')
    .where('status', '=', 'deleted')
    .where('file_id', '>', after)
    .orderBy('file_id')
    .limit(limit)
    .execute();
  return rows.map(({ file_id }) => file_id);
}

/** Notes that nothing of a deleted file is in the store any more. */
export async function forgetFile(db: Db, file_id: string): Promise<void> {
  await db.deleteFrom('files').where('file_id', '=', file_id).where('status', '=', 'deleted').execute();
}

/** Has what an upload has left removed; false when there is none: it is finished, or gone. */
export async function abandonFile(db: Db, file_id: string): Promise<boolean> {
  const own = db.updateTable('files').set(forgotten).where('file_id', '=', file_id).where('status', '=', 'uploading');
  return (await own.executeTakeFirst()).numUpdatedRows > 0n;
}
