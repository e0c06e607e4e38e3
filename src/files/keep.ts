import type { Logger } from 'pino';
import {
  abandonFile,
  claimRequest,
  deleteFile,
  findFile,
  forgetFile,
  insertFile,
  listFilesToRemove,
  markDeadFiles,
  storeFiles,
  UploadsGone,
  whileAccountIsThere,
  type FileQuotas,
  type FileView,
} from '../../db/files.ts';
import type { Db } from '../../db/index.ts';
import type { Principal } from '../accounts/principal.ts';
import type { Config } from '../config.ts';
import { DomainError, notFound } from '../errors.ts';
import { newId } from '../ids.ts';
import { discardIncoming, discardOldIncoming, type Incoming } from './incoming.ts';
import { ofStore, type FileStore } from './store.ts';

/**
 * Files as they are kept: a row in Postgres, and the bytes in the store. The row is there first and goes last, so that whatever
 * dies in between leaves nothing in the store that nobody knows of.
 */

export type FileDeps = { db: Db; files: FileStore; log: Logger };

/** What came in, and lies on this machine. */
export type ReceivedFile = Incoming & { name: string; media_type: string };

/** How long the store may take to keep a file, in milliseconds: in S3 it has a minute. */
export const longestPut_ms = 65_000;

/**
 * Keeps what came in as a file of the account. A request that is made again (`request_id`) gets the file that it made before.
 * What the store does is done `duringPut`, for it may take long. Throws `LimitReached`, `FILES_UNAVAILABLE`, and
 * `FILE_REQUEST_REUSED` when it was another file. What came in is gone then too.
 */
export async function keepFile(
  deps: FileDeps,
  { account_id }: Pick<Principal, 'account_id'>,
  received: ReceivedFile,
  { request_id, quotas }: { request_id: string | null; quotas: FileQuotas },
  duringPut: (put: () => Promise<void>) => Promise<void>,
): Promise<FileView> {
  let before: FileView | undefined;
  let file_id = '';
  await keepFiles(deps, account_id, [received], { quotas, duringPut }, async (trx, [put]) => {
    file_id = put!.file_id;
    if (request_id !== null) before = await claimRequest(trx, request_id, file_id);
    return before === undefined;
  });
  const kept = before ?? (await findFile(deps.db, account_id, file_id));
  if (!kept) throw notFound('File');
  if (before && (before.sha256 !== received.sha256 || before.name !== received.name))
    throw new DomainError('FILE_REQUEST_REUSED', 'This Idempotency-Key was used for another file.');
  return kept;
}

/** A file that is in the store. */
export type PutFile = Omit<ReceivedFile, 'path'> & { file_id: string };

type Trx = Parameters<typeof storeFiles>[0];

/** Files that are in the store, and are the account's with all that is committed together with `keep`. */
export type PutFiles = { files: PutFile[]; keep: (trx: Trx) => Promise<void> };

/** What an account may keep, as the operator has set it. */
export function fileQuotasOf(config: Pick<Config, 'MAX_FILES_PER_ACCOUNT' | 'MAX_FILE_BYTES_PER_ACCOUNT'>): FileQuotas {
  return { most: config.MAX_FILES_PER_ACCOUNT, most_bytes: config.MAX_FILE_BYTES_PER_ACCOUNT };
}

type Putting = { quotas: FileQuotas; duringPut: (put: () => Promise<void>) => Promise<void> };

/**
 * Keeps what came in as files of the account, all of them with what `alongside` commits, or none. Where it says that none are
 * needed (false), and whenever something fails, nothing of them stays. Throws `LimitReached` and `FILES_UNAVAILABLE`.
 */
export function keepFiles(
  deps: FileDeps,
  account_id: string,
  received: ReceivedFile[],
  putting: Putting,
  alongside: (trx: Trx, kept: PutFile[]) => Promise<boolean>,
): Promise<void> {
  return keepFilesWith(deps, account_id, received, putting, ({ files, keep }) =>
    whileAccountIsThere(deps.db, account_id, async (trx) => {
      if (await alongside(trx, files)) await keep(trx);
    }),
  );
}

/**
 * The same with what `commit` does in a transaction of its own, where that keeps them. Where it keeps none, and whenever it fails,
 * nothing of them stays.
 */
export async function keepFilesWith<T>(
  { db, files, log }: FileDeps,
  account_id: string,
  received: ReceivedFile[],
  { quotas, duringPut }: Putting,
  commit: (put: PutFiles) => Promise<T>,
): Promise<T> {
  const put: PutFile[] = [];
  let isKept = false;
  // From when on a commit may have kept them of which nobody has heard.
  let mayBeKept = false;
  const keep = (trx: Trx) => {
    mayBeKept = true;
    const file_ids = put.map(({ file_id }) => file_id);
    return storeFiles(trx, account_id, file_ids);
  };
  try {
    for (const { path, ...file } of received) {
      const row = { ...file, file_id: newId('file'), account_id };
      await insertFile(db, row, quotas);
      put.push(row);
      await duringPut(() => ofStore(log, files.put(row.file_id, path)));
    }
    const done = await commit({ files: put, keep });
    isKept = mayBeKept;
    return done;
  } catch (error) {
    if (!(error instanceof UploadsGone)) throw error;
    mayBeKept = false;
    throw notFound('File');
  } finally {
    await Promise.all(received.map(({ path }) => discardIncoming(path)));
    if (!isKept) {
      const left = put.map(async ({ file_id }) => {
        const isAbandoned = await abandonFile(db, file_id);
        // Where its account was deleted meanwhile, or it took too long, the row that told of these bytes may be gone.
        if (isAbandoned || !mayBeKept) await removeFile({ db, files, log }, file_id);
      });
      await Promise.all(left).catch((err: unknown) => log.warn({ err }, 'an upload is not cleared away yet'));
    }
  }
}

/** Has these files of the account removed, as `deleteOwnFile`, those that are there yet: in the background, or later. */
export function forgetFiles(deps: FileDeps, file_ids: string[]): void {
  const all = async () => {
    for (const file_id of file_ids) await removeFile(deps, file_id);
  };
  void all().catch((err: unknown) => deps.log.warn({ err }, 'files are not out of the store yet'));
}

/** The bytes of a file that was found. Throws `FILES_UNAVAILABLE`. */
export function openFile({ files, log }: Omit<FileDeps, 'db'>, file_id: string): Promise<ReadableStream<Uint8Array>> {
  return ofStore(log, files.open(file_id));
}

/** Deletes a file: nobody finds it any more, and what is in the store goes now or, when the store is not there, later. */
export async function deleteOwnFile(deps: FileDeps, { account_id }: Principal, file_id: string): Promise<void> {
  if (!(await deleteFile(deps.db, account_id, file_id))) throw notFound('File');
  void removeFile(deps, file_id).catch((err: unknown) => deps.log.warn({ err }, 'a file is not out of the store yet'));
}

async function removeFile({ db, files }: FileDeps, file_id: string): Promise<void> {
  await files.remove(file_id);
  await forgetFile(db, file_id);
}

const batch = 100;

/** Removes from the store what was deleted, and what uploads have left that died. May be done by several at once. */
export async function removeDeletedFiles(deps: FileDeps, signal: AbortSignal): Promise<void> {
  await discardOldIncoming(deps.files);
  await markDeadFiles(deps.db);
  for (let after = '', some = batch; some === batch && !signal.aborted;) {
    const file_ids = await listFilesToRemove(deps.db, after, batch);
    for (const file_id of file_ids) await removeFile(deps, file_id);
    after = file_ids.at(-1) ?? after;
    some = file_ids.length;
  }
}
