import { removeGoneChunks } from '../../db/chunks.ts';
import {
  deleteDocument,
  findDocument,
  insertDocuments,
  listDocumentsByIds,
  requireRoomForDocuments,
  type DocumentView,
} from '../../db/documents.ts';
import type { FileQuotas } from '../../db/files.ts';
import type { Db } from '../../db/index.ts';
import { indexFailed } from '../../db/indexings.ts';
import type { Principal } from '../accounts/principal.ts';
import { DomainError, InvalidInputError, notFound } from '../errors.ts';
import { forgetFiles, keepFiles, type FileDeps, type ReceivedFile } from '../files/keep.ts';
import { newId, type IdSeed } from '../ids.ts';
import { formatNames, formatOf } from '../extraction/index.ts';

/** The documents of knowledge bases. */

type Target = { knowledge_id: string; most: number };

/** Throws `LimitReached` when a base has no room for so many more: before anything more of them is read. */
export function requireRoom(db: Db, { knowledge_id, most }: Target, more = 1): Promise<void> {
  return requireRoomForDocuments(db, knowledge_id, more, most);
}

/** Throws `InvalidInputError` where a file is of no kind that is read. */
export function requireReadable({ name, media_type }: { name: string; media_type: string }): void {
  if (formatOf(name, media_type)) return;
  const detail = `"${name}" is of no kind that is read: ${formatNames}`;
  throw new InvalidInputError([{ path: ['files'], detail }]);
}

/**
 * Adds files to a base, all of them or none, to be indexed from now on. A request that is made again finds what its first try
 * has added, and is there yet. Throws `NOT_FOUND`, `LimitReached`, `FILES_UNAVAILABLE`, and `FILE_REQUEST_REUSED` when it was of other files.
 */
export async function addDocuments(
  deps: FileDeps,
  { account_id }: Principal,
  { knowledge_id, most }: Target,
  received: ReceivedFile[],
  {
    quotas,
    idempotency,
    duringPut,
  }: {
    quotas: FileQuotas;
    idempotency: IdSeed | undefined;
    duringPut: (put: () => Promise<void>) => Promise<void>;
  },
): Promise<DocumentView[]> {
  const document_ids = received.map((_, index) =>
    newId('document', idempotency && { ...idempotency, seed: `${idempotency.seed}:${index}` }),
  );
  let known: DocumentView[] = [];
  await keepFiles(deps, account_id, received, { quotas, duringPut }, async (trx, kept) => {
    known = await listDocumentsByIds(trx, account_id, document_ids);
    if (known.length > 0) return false;
    const documents = kept.map(({ file_id, name, media_type, size, sha256 }, index) => {
      const document_id = document_ids[index]!;
      return { document_id, account_id, knowledge_id, file_id, name, media_type, size, sha256 };
    });
    if (!(await insertDocuments(trx, documents, { account_id, knowledge_id, most }))) throw notFound('Knowledge base');
    return true;
  });
  if (known.length === 0) return listDocumentsByIds(deps.db, account_id, document_ids);
  // Of those that are deleted since, nothing can be said.
  const isSame = known.every((document) => {
    const file = received[document_ids.indexOf(document.document_id)];
    const { name, sha256 } = document;
    return document.knowledge_id === knowledge_id && file?.name === name && file.sha256 === sha256;
  });
  if (!isSame) throw new DomainError('FILE_REQUEST_REUSED', 'This Idempotency-Key was used for other files.');
  return known;
}

/** Throws `NOT_FOUND`. */
export async function getDocument(
  { db }: { db: Db },
  { account_id }: Principal,
  { knowledge_id, document_id }: { knowledge_id: string; document_id: string },
): Promise<DocumentView> {
  const document = await findDocument(db, account_id, knowledge_id, document_id);
  if (!document) throw notFound('Document');
  return document;
}

/**
 * Has a document that has failed indexed once more; what was read and embedded of it stays so. Throws `NOT_FOUND`, and
 * `DOCUMENT_NOT_FAILED`.
 */
export async function indexDocumentAgain(
  deps: { db: Db },
  principal: Principal,
  which: { knowledge_id: string; document_id: string },
): Promise<DocumentView> {
  const before = await indexFailed(deps.db, { account_id: principal.account_id, ...which });
  if (before === undefined) throw notFound('Document');
  if (before !== 'failed')
    throw new DomainError('DOCUMENT_NOT_FAILED', `The document is ${before}, and has not failed.`);
  return getDocument(deps, principal, which);
}

/** Deletes a document with its file: nobody finds anything of it any more, and its indexing ends. Throws `NOT_FOUND`. */
export async function removeDocument(
  deps: FileDeps,
  { account_id }: Principal,
  which: { knowledge_id: string; document_id: string },
): Promise<void> {
  const file_id = await deleteDocument(deps.db, { account_id, ...which });
  if (file_id === undefined) throw notFound('Document');
  forgetFiles(deps, [file_id]);
  forgetChunks(deps);
}

/** Takes away the chunks of what is deleted, which nobody finds any more: in the background, or later. */
export function forgetChunks({ db, log }: Pick<FileDeps, 'db' | 'log'>): void {
  void removeGoneChunks(db).catch((err: unknown) => log.warn({ err }, 'chunks are not taken away yet'));
}
