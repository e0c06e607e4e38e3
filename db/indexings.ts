import { sql, type Transaction } from 'kysely';
import type { IndexingRef } from '../workflows/contract/knowledge.ts';
import { suspendedMs } from './accounts.ts';
import type { Db } from './index.ts';
import { holdAccount } from './limits.ts';
import type { Database, DocumentStatus, KnowledgeBase, KnowledgeDocument } from './schema.ts';

/** The indexing of documents: begun, how far it is, and its end. */

/** What Temporal is told of documents, for the sweep of the outbox. */
export async function queueIndexing(
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
    const before = await trx
      .selectFrom('documents')
      .select('status')
      .where('account_id', '=', account_id)
      .where('knowledge_id', '=', knowledge_id)
      .where('document_id', '=', document_id)
      .forUpdate()
      .executeTakeFirst();
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

/**
 * Up to `limit` indexings that have not ended, by the ids of their documents, after this one; those of one account, if it is given. Of
 * these Temporal has been told.
 */
export async function listUnfinishedAfter(
  db: Db,
  after: string,
  limit: number,
  account_id?: string,
): Promise<IndexingRef[]> {
  return db
    .selectFrom('documents')
    .select(['document_id', 'attempt'])
    .where('document_id', '>', after)
    .where('status', 'in', ['pending', 'indexing'])
    .where(sql<boolean>`not exists (select from outbox where message ->> 'document_id' = documents.document_id)`)
    .$if(account_id !== undefined, (query) => query.where('account_id', '=', account_id!))
    .orderBy('document_id')
    .limit(limit)
    .execute();
}

/**
 * Has Temporal told of an indexing that it has lost, or of the `next` one in its place; what was read and embedded stays so. Nothing
 * happens when it has ended meanwhile.
 */
export function tellIndexing(db: Db, { document_id, attempt }: IndexingRef, next: number): Promise<void> {
  return db.transaction().execute(async (trx) => {
    const unfinished = await trx
      .updateTable('documents')
      .set({ status: 'pending', attempt: next })
      .where('document_id', '=', document_id)
      .where('attempt', '=', attempt)
      .where('status', 'in', ['pending', 'indexing'])
      .returning('document_id')
      .executeTakeFirst();
    if (unfinished) await queueIndexing(trx, 'index_document', sql`document_id = ${document_id}`);
  });
}
