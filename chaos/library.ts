import { sql } from 'kysely';
import type { Db } from '../db/index.ts';
import { indexingWorkflowType } from '../workflows/contract/knowledge.ts';
import type { Account } from './accounts.ts';
import { isOfDocument, type EmbeddingEntry } from './embedder.ts';
import type { Execution } from './executions.ts';
import type { DeliveryEntry } from './outside.ts';

/** All that is known of documents in the end. */
export type Library = Awaited<ReturnType<typeof readLibrary>>;

type Document = {
  document_id: string;
  account_id: string;
  name: string;
  status: string;
  failure: string | null;
  attempt: number;
  chunks: number | null;
  /** Of its passages, those that there are, and those of them that are embedded. */
  written: number;
  embedded: number;
};

type Seen = { calls: EmbeddingEntry[]; received: DeliveryEntry[]; accounts: Account[]; executions: Execution[] };

export async function readLibrary(db: Db, { calls, received, accounts, executions }: Seen) {
  const documents = await sql<Document>`
    select document_id, account_id, name, status, failure, attempt, chunks,
      (select count(*)::integer from chunks where chunks.document_id = documents.document_id) as written,
      (select count(*)::integer from chunks where chunks.document_id = documents.document_id and embedding is not null)
        as embedded
    from documents`.execute(db);
  const paid = await db
    .selectFrom('llm_calls')
    .select(['call_id', 'account_id', 'input_tokens', 'created_at'])
    .where('purpose', '=', 'embed_chunks')
    .execute();
  return {
    documents: documents.rows,
    /** The calls for documents that were paid, as the journal has them. */
    paid,
    /** The same as they reached the model. */
    asked: calls.filter(isOfDocument),
    /** What subscribers were told of documents. */
    told: received.filter(({ payload: { type } }) => type?.startsWith('knowledge.')),
    deliveries: await db
      .selectFrom('webhook_deliveries')
      .select(['delivery_id', 'status', 'event', 'body'])
      .where('event', 'like', 'knowledge.%')
      .execute(),
    workflows: executions
      .filter(({ type }) => type === indexingWorkflowType)
      .map(({ workflow_id, status, pending }) => ({ workflow_id, status, pending })),
    bases: accounts.map(({ knowledge_id }) => knowledge_id),
  };
}
