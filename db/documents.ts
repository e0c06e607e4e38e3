import { sql, type Transaction } from 'kysely';
import { deleteFiles } from './files.ts';
import type { Db } from './index.ts';
import { queueIndexing } from './indexings.ts';
import { holdAccount, LimitReached } from './limits.ts';
import { byTime, onPage, type Page } from './pages.ts';
import type { Database, DocumentStatus, KnowledgeDocument } from './schema.ts';

/** The documents of knowledge bases. */

const viewColumns = [
  'document_id',
  'knowledge_id',
  'file_id',
  'name',
  'media_type',
  'size',
  'sha256',
  'status',
  'failure',
  'pages',
  'pages_done',
  'chunks',
  'chunks_done',
  'created_at',
  'indexed_at',
] as const;

/** A document as its account reads it. */
export type DocumentView = Pick<KnowledgeDocument, (typeof viewColumns)[number]>;

export type NewDocument = Pick<
  KnowledgeDocument,
  'document_id' | 'account_id' | 'knowledge_id' | 'file_id' | 'name' | 'media_type' | 'size' | 'sha256'
>;

/** Throws `LimitReached` when a base has no room for so many documents more. */
export async function requireRoomForDocuments(db: Db, knowledge_id: string, more: number, most: number): Promise<void> {
  const { count } = await db
    .selectFrom('documents')
    .select(sql<number>`count(*)::integer`.as('count'))
    .where('knowledge_id', '=', knowledge_id)
    .executeTakeFirstOrThrow();
  if (count + more <= most) return;
  const room = `and there is no room for ${more} more`;
  throw new LimitReached(`A knowledge base may have ${most} documents; this one has ${count}, ${room}. Delete some.`);
}

/**
 * Adds documents to a base, and commits with them that they are to be indexed. False when it is gone. Throws `LimitReached`
 * when it would have more than `most`.
 */
export async function insertDocuments(
  trx: Transaction<Database>,
  documents: NewDocument[],
  { account_id, knowledge_id, most }: { account_id: string; knowledge_id: string; most: number },
): Promise<boolean> {
  await holdAccount(trx, account_id);
  const base = trx
    .selectFrom('knowledge_bases')
    .select('knowledge_id')
    .where('knowledge_id', '=', knowledge_id)
    .where('account_id', '=', account_id)
    .forKeyShare();
  if (!(await base.executeTakeFirst())) return false;
  await requireRoomForDocuments(trx, knowledge_id, documents.length, most);
  // Each a moment after the one before, so that a list has them in their order.
  for (const [index, document] of documents.entries()) {
    const created_at = sql<string>`now() + make_interval(secs => ${index / 1_000})`;
    await trx
      .insertInto('documents')
      .values({ ...document, created_at })
      .execute();
  }
  await queueIndexing(trx, 'index_document', sql`document_id = any(${documents.map((one) => one.document_id)})`);
  return true;
}

function ownDocuments(db: Db, account_id: string, knowledge_id: string) {
  return db
    .selectFrom('documents')
    .select(viewColumns)
    .where('account_id', '=', account_id)
    .where('knowledge_id', '=', knowledge_id);
}

/** A page of the documents of a base. */
export function listDocuments(
  db: Db,
  account_id: string,
  knowledge_id: string,
  { status, ...page }: Page & { status?: DocumentStatus | undefined },
): Promise<DocumentView[]> {
  const documents = ownDocuments(db, account_id, knowledge_id).$if(status !== undefined, (query) =>
    query.where('status', '=', status!),
  );
  return onPage(documents, byTime('created_at', 'document_id'), page).execute();
}

/** Undefined when the base has none of this id. */
export function findDocument(
  db: Db,
  account_id: string,
  knowledge_id: string,
  document_id: string,
): Promise<DocumentView | undefined> {
  return ownDocuments(db, account_id, knowledge_id).where('document_id', '=', document_id).executeTakeFirst();
}

/** Those of these ids that the account has, in this order. */
export async function listDocumentsByIds(db: Db, account_id: string, ids: string[]): Promise<DocumentView[]> {
  const rows = await db
    .selectFrom('documents')
    .select(viewColumns)
    .where('account_id', '=', account_id)
    .where('document_id', 'in', ids)
    .execute();
  return ids.flatMap((id) => rows.find(({ document_id }) => document_id === id) ?? []);
}

/**
 * Deletes documents with their chunks; an indexing that is under way ends. Returns the ids of their files, of which nobody
 * finds those any more that were there.
 */
export async function deleteDocumentsOf(
  trx: Transaction<Database>,
  which: { knowledge_id: string; document_id?: string; account_id?: string },
): Promise<string[]> {
  const conditions = Object.entries(which).map(([name, value]) => sql`${sql.ref(name)} = ${value}`);
  const these = sql`${sql.join(conditions, sql` and `)}`;
  await queueIndexing(trx, 'end_indexing', sql`${these} and status in ('pending', 'indexing')`);
  const { rows } = await sql<{ file_id: string }>`delete from documents where ${these} returning file_id`.execute(trx);
  const file_ids = rows.map(({ file_id }) => file_id);
  await deleteFiles(trx, file_ids);
  return file_ids;
}

/** Deletes a document. Returns the id of its file, or undefined when the base has none of this id. */
export async function deleteDocument(
  db: Db,
  which: { account_id: string; knowledge_id: string; document_id: string },
): Promise<string | undefined> {
  const [file_id] = await db.transaction().execute((trx) => deleteDocumentsOf(trx, which));
  return file_id;
}
