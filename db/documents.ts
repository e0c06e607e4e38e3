import { sql, type Transaction } from 'kysely';
import type { IndexingRef } from '../workflows/contract/knowledge.ts';
import { suspendedMs } from './accounts.ts';
import { deleteFiles } from './files.ts';
import type { Db } from './index.ts';
import { holdAccount, LimitReached } from './limits.ts';
import type { Database, DocumentStatus, KnowledgeBase, KnowledgeDocument } from './schema.ts';

/** The documents of knowledge bases, and how far their indexing is. */

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

/** A page of a list that is sorted by time, newest or oldest first, and the last entry of the page before. */
export type PageByTime = {
  limit: number;
  after: { created_at: string; id: string } | undefined;
  oldestFirst: boolean;
};

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

/** What Temporal is told of documents, for the sweep of the outbox. */
async function queueIndexing(
  trx: Transaction<Database>,
  kind: 'index_document' | 'end_indexing',
  which: ReturnType<typeof sql>,
): Promise<void> {
  await sql`
    insert into outbox (account_id, message, next_attempt_at)
    select account_id,
      jsonb_build_object('kind', ${kind}::text, 'account_id', account_id, 'document_id', document_id, 'attempt', attempt),
      now()
    from documents where ${which}`.execute(trx);
}

/** Has a document that has failed indexed once more. Returns the status that it had; undefined when the base has none of this id. */
export function indexFailed(
  db: Db,
  { account_id, knowledge_id, document_id }: { account_id: string; knowledge_id: string; document_id: string },
): Promise<DocumentStatus | undefined> {
  return db.transaction().execute(async (trx) => {
    await holdAccount(trx, account_id);
    const own = ownDocuments(trx, account_id, knowledge_id).where('document_id', '=', document_id).forUpdate();
    const before = await own.executeTakeFirst();
    if (before?.status !== 'failed') return before?.status;
    await trx
      .updateTable('documents')
      .set({ status: 'pending', attempt: sql`attempt + 1`, failure: null })
      .where('document_id', '=', document_id)
      .execute();
    await queueIndexing(trx, 'index_document', sql`document_id = ${document_id}`);
    return before.status;
  });
}

/** Whether a base has documents whose indexing has not ended. */
export async function isIndexing(db: Db, knowledge_id: string): Promise<boolean> {
  const one = db.selectFrom('documents').select('document_id').where('knowledge_id', '=', knowledge_id);
  return (await one.where('status', 'in', ['pending', 'indexing']).limit(1).executeTakeFirst()) !== undefined;
}

/** Has all documents of a base, none of which is being indexed, indexed once more: its model has become another one. */
export async function indexAgain(trx: Transaction<Database>, knowledge_id: string): Promise<void> {
  await trx
    .updateTable('documents')
    .set({ status: 'pending', attempt: sql`attempt + 1`, failure: null, chunks_done: 0 })
    .where('knowledge_id', '=', knowledge_id)
    .execute();
  await queueIndexing(trx, 'index_document', sql`knowledge_id = ${knowledge_id}`);
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
  { limit, after, oldestFirst, status }: PageByTime & { status?: DocumentStatus | undefined },
): Promise<DocumentView[]> {
  const [direction, isAfter] = oldestFirst ? (['asc', sql`>`] as const) : (['desc', sql`<`] as const);
  return ownDocuments(db, account_id, knowledge_id)
    .$if(status !== undefined, (query) => query.where('status', '=', status!))
    .$if(after !== undefined, (query) =>
      query.where(sql<boolean>`(created_at, document_id) ${isAfter} (${after!.created_at}::timestamptz, ${after!.id})`),
    )
    .orderBy('created_at', direction)
    .orderBy('document_id', direction)
    .limit(limit)
    .execute();
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

/** A document that is to be indexed, with what its base says of embeddings, and for how long its account is suspended. */
export type IndexedDocument = Pick<
  KnowledgeDocument,
  'document_id' | 'account_id' | 'knowledge_id' | 'file_id' | 'name' | 'media_type' | 'size' | 'chunks'
> &
  Pick<KnowledgeBase, 'provider_id' | 'embedding_model' | 'dimensions' | 'embedding_version'> & {
    suspended_ms: number | null;
  };

/** Undefined of one that is deleted, or whose indexing was begun once more since, or has ended. */
export function findIndexedDocument(
  db: Db,
  { document_id, attempt }: IndexingRef,
): Promise<IndexedDocument | undefined> {
  return db
    .selectFrom('documents')
    .innerJoin('knowledge_bases', 'knowledge_bases.knowledge_id', 'documents.knowledge_id')
    .innerJoin('accounts', 'accounts.account_id', 'documents.account_id')
    .select(['document_id', 'documents.account_id', 'documents.knowledge_id', 'file_id', 'documents.name'])
    .select(['media_type', 'size', 'chunks', 'provider_id', 'embedding_model', 'dimensions', 'embedding_version'])
    .select(suspendedMs.as('suspended_ms'))
    .where('document_id', '=', document_id)
    .where('attempt', '=', attempt)
    .where('status', 'in', ['pending', 'indexing'])
    .executeTakeFirst();
}

/** Those of these indexings that have not ended for their readers. */
export async function listUnfinishedIndexings(db: Db, indexings: IndexingRef[]): Promise<IndexingRef[]> {
  if (indexings.length === 0) return [];
  const { rows } = await sql<IndexingRef>`
    select document_id, attempt from documents
    join jsonb_to_recordset(${JSON.stringify(indexings)}::jsonb) as given (document_id text, attempt integer)
      using (document_id, attempt)
    where status in ('pending', 'indexing')`.execute(db);
  return rows;
}

/** How far the indexing of a document is, for its readers. */
export async function saveDocumentProgress(
  db: Db,
  { document_id, attempt }: IndexingRef,
  progress: { pages?: number | null; pages_done?: number },
): Promise<void> {
  await db
    .updateTable('documents')
    .set({ ...progress, status: 'indexing' })
    .where('document_id', '=', document_id)
    .where('attempt', '=', attempt)
    .where('status', 'in', ['pending', 'indexing'])
    .execute();
}

/**
 * Notes that a document is indexed, and found from now on, or why it cannot be; once. The subscriptions of its account are told
 * with it (`knowledge.indexed`, `knowledge.failed`). Returns false when it is gone, has ended, or was begun once more.
 */
export async function finishIndexing(
  db: Db,
  { document_id, attempt }: IndexingRef,
  reason: string | null,
): Promise<boolean> {
  const { rows } = await sql<{ isDone: boolean }>`
    select finish_indexing(${document_id}, ${attempt}, ${reason}) as "isDone"`.execute(db);
  return rows[0]!.isDone;
}
