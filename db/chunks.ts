import { sql } from 'kysely';
import type { IndexingRef } from '../workflows/contract/knowledge.ts';
import type { Db } from './index.ts';
import { LimitReached } from './limits.ts';
import { insertText, listTexts } from './texts.ts';

/** The passages of documents: written, embedded and searched. */

/** A passage as it is cut. `words` are what it is found by, plain letters and digits with spaces between. */
export type NewChunk = {
  page: number | null;
  heading: string | null;
  text: string;
  sha256: string;
  words: string;
  heading_words: string;
};

/** The rows of one statement. */
const writtenAtOnce = 200;

/** As a lexeme of `search`: it leads to those of its base within the index. */
function baseLexeme(knowledge_id: string) {
  return sql`array_to_tsvector(array[${knowledge_id}]::text[])`;
}

/**
 * Writes the chunks of a document in place of those that it had; false when it is gone. What is the same text as before in its
 * base need not be embedded again. Throws `LimitReached` when its base would have more than `most`.
 */
export function replaceChunks(
  db: Db,
  { document_id, attempt }: IndexingRef,
  knowledge_id: string,
  { chunks, pages, most }: { chunks: NewChunk[]; pages: number | null; most: number },
): Promise<boolean> {
  return db.transaction().execute(async (trx) => {
    const document = await trx
      .updateTable('documents')
      .set({ chunks: chunks.length, chunks_done: 0, pages, pages_done: pages ?? 0, status: 'indexing' })
      .where('document_id', '=', document_id)
      .where('attempt', '=', attempt)
      .returning('document_id')
      .executeTakeFirst();
    if (!document) return false;
    await trx.deleteFrom('chunks').where('document_id', '=', document_id).execute();
    for (let at = 0; at < chunks.length; at += writtenAtOnce) {
      const rows = chunks.slice(at, at + writtenAtOnce).map((chunk, index) => ({ ...chunk, position: at + index + 1 }));
      await sql`
        insert into chunks (document_id, knowledge_id, position, page, heading, text, sha256, search)
        select ${document_id}, ${knowledge_id}, position, page, heading, text, sha256,
          ${baseLexeme(knowledge_id)} || setweight(to_tsvector('pg_catalog.english', heading_words), 'B')
            || to_tsvector('pg_catalog.english', words)
        from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as given (
          position integer, page integer, heading text, text text, sha256 text, words text, heading_words text)`.execute(
        trx,
      );
    }
    // Those of a base that come to this place do so one after another. Its row would be waited for by who deletes it, and waits for this document.
    await sql`select pg_advisory_xact_lock(hashtextextended(${knowledge_id}, 0))`.execute(trx);
    const all = await countChunks(trx, knowledge_id);
    if (all > most) {
      const others = `this one has ${chunks.length}, and the others have ${all - chunks.length}`;
      throw new LimitReached(`A knowledge base may have ${most} passages; ${others}.`);
    }
    return true;
  });
}

/** A chunk that is to be embedded. */
export type UnembeddedChunk = { position: number; heading: string | null; text: string };

type EmbeddedBy = { document_id: string; knowledge_id: string; embedding_version: number };

/**
 * The next chunks of a document that the model of its base has yet to embed, and whether there may be more after these. Those of a text that
 * is embedded in their base have that embedding by then, which is paid for.
 */
export async function takeUnembedded(
  db: Db,
  document: EmbeddedBy,
  limit: number,
): Promise<{ chunks: UnembeddedChunk[]; isLast: boolean }> {
  const { document_id, embedding_version } = document;
  for (;;) {
    const rows = await db
      .selectFrom('chunks')
      .select(['position', 'heading', 'text', 'sha256'])
      .where('document_id', '=', document_id)
      .where(sql<boolean>`embedding_version is distinct from ${embedding_version}`)
      .orderBy('position')
      .limit(limit)
      .execute();
    const reused = await reuseEmbeddings(db, document, rows);
    const chunks = rows.filter(({ position }) => !reused.has(position));
    const isLast = rows.length < limit;
    if (chunks.length > 0 || isLast) return { chunks, isLast };
  }
}

/**
 * Gives chunks the embeddings of those of the same text in their base. Returns the positions of those that have one now. Of a document
 * that has just come Postgres knows no statistics: over more than these few, it would go through all of the base for each of them.
 */
async function reuseEmbeddings(
  db: Db,
  { document_id, knowledge_id, embedding_version }: EmbeddedBy,
  chunks: { position: number; sha256: string }[],
): Promise<Set<number>> {
  if (chunks.length === 0) return new Set();
  const { rows } = await sql<{ position: number }>`
    with known as materialized (
      select distinct on (sha256) sha256, embedding, floats from chunks
      where knowledge_id = ${knowledge_id} and sha256 = any(${chunks.map(({ sha256 }) => sha256)})
        and embedding is not null and embedding_version = ${embedding_version}
    )
    update chunks set embedding = known.embedding, floats = known.floats, embedding_version = ${embedding_version}
    from known
    where document_id = ${document_id} and position = any(${chunks.map(({ position }) => position)})
      and chunks.sha256 = known.sha256 and embedding_version is distinct from ${embedding_version}
    returning position`.execute(db);
  return new Set(rows.map(({ position }) => position));
}

/** A paid call of an embedding model, as the journal of calls keeps it. */
export type EmbeddingCall = {
  call_id: string;
  /** Of which run it is, where it is of one; else it is its account's. */
  run?: { run_id: string; task_id: string | null } | undefined;
  account_id: string;
  knowledge_id: string;
  purpose: 'embed_chunks' | 'embed_query';
  vendor: string;
  model: string;
  provider_id: string;
  input_tokens: number;
  cost_usd: number | null;
};

/** Journals a call of an embedding model, which has no answer of words. */
export async function insertEmbeddingCall(db: Db, { run, account_id, ...call }: EmbeddingCall): Promise<void> {
  const owner = run ? { ...run, account_id: null } : { run_id: null, task_id: null, account_id };
  await db
    .insertInto('llm_calls')
    .values({ ...call, ...owner, finish: 'stop', output_tokens: 0 })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** Journals a call for a query of a run with what it answered, which a retry finds instead of paying once more. */
export async function saveQueryEmbedding(db: Db, call: EmbeddingCall, vector: Float32Array): Promise<void> {
  await db.transaction().execute(async (trx) => {
    await insertEmbeddingCall(trx, call);
    const text = bytesOf(vector).toString('base64');
    await insertText(trx, { text_id: vectorIdOf(call.call_id), run_id: call.run!.run_id, text });
  });
}

/** Undefined when the call has not been journalled. */
export async function findQueryEmbedding(db: Db, call_id: string): Promise<Float32Array | undefined> {
  const text = (await listTexts(db, [vectorIdOf(call_id)])).get(vectorIdOf(call_id));
  if (text === undefined) return undefined;
  const bytes = Buffer.from(text, 'base64');
  return Float32Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readFloatBE(index * 4));
}

function vectorIdOf(call_id: string): string {
  return `${call_id}/vector`;
}

/**
 * Writes embeddings of chunks, in their order, with the call that was paid for them: a retry finds both, or neither. Where
 * the base has another model by now, the call alone is written.
 */
export function saveEmbeddings(
  db: Db,
  { document_id, knowledge_id, embedding_version }: EmbeddedBy,
  embedded: { position: number; embedding: Float32Array }[],
  call?: EmbeddingCall,
): Promise<void> {
  const rows = embedded.map(({ position, embedding }) => ({
    position,
    embedding: Array.from(embedding, rounded),
    floats: bytesOf(embedding).toString('base64'),
  }));
  return db.transaction().execute(async (trx) => {
    const base = trx
      .selectFrom('knowledge_bases')
      .select('knowledge_id')
      .where('knowledge_id', '=', knowledge_id)
      .where('embedding_version', '=', embedding_version)
      // Nobody changes the model meanwhile.
      .forShare();
    const isIts = (await base.executeTakeFirst()) !== undefined;
    if (isIts) await writeEmbeddings(trx);
    // The last, for it is added to what the base has used, which all wait for who pay for it too.
    if (call) await insertEmbeddingCall(trx, call);
  });

  async function writeEmbeddings(trx: Db): Promise<void> {
    await sql`
      update chunks set embedding = given.embedding, floats = decode(given.floats, 'base64'), embedding_version = ${embedding_version}
      from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as given (
        position integer, embedding real[], floats text)
      where document_id = ${document_id} and chunks.position = given.position
        and chunks.position between ${rows[0]!.position} and ${rows.at(-1)!.position}`.execute(trx);
  }
}

/** All that a float of 32 bits holds. */
function rounded(value: number): number {
  return Number(value.toPrecision(9));
}

function bytesOf(embedding: Float32Array): Buffer {
  const bytes = Buffer.alloc(embedding.length * 4);
  for (const [index, value] of embedding.entries()) bytes.writeFloatBE(value, index * 4);
  return bytes;
}

/** How many chunks of a document are embedded, for its readers. */
export async function countEmbedded(
  db: Db,
  { document_id, attempt }: IndexingRef,
  embedding_version: number,
): Promise<void> {
  await sql`
    update documents set status = 'indexing',
      chunks_done = (
        select count(*) from chunks
        where chunks.document_id = documents.document_id and embedding_version = ${embedding_version})
    where document_id = ${document_id} and attempt = ${attempt} and status in ('pending', 'indexing')`.execute(db);
}

/** How many chunks a base has. */
export async function countChunks(db: Db, knowledge_id: string): Promise<number> {
  const { count } = await db
    .selectFrom('documents')
    .select(sql<number>`coalesce(sum(chunks), 0)::integer`.as('count'))
    .where('knowledge_id', '=', knowledge_id)
    .executeTakeFirstOrThrow();
  return count;
}

const removedAtOnce = 5_000;

/** Takes away the chunks of documents that are deleted, a few thousand in a statement. May be done by several at once. */
export async function removeGoneChunks(db: Db, signal?: AbortSignal): Promise<void> {
  for (;;) {
    const gone = await db.selectFrom('gone_documents').select('document_id').limit(100).execute();
    if (gone.length === 0) return;
    for (const { document_id } of gone) {
      for (let removed = removedAtOnce; removed === removedAtOnce && !signal?.aborted;) {
        const some = sql`select ctid from chunks where document_id = ${document_id} limit ${removedAtOnce}`;
        const { numAffectedRows } = await sql`delete from chunks where ctid = any(array(${some}))`.execute(db);
        removed = Number(numAffectedRows);
      }
      if (signal?.aborted) return;
      await db.deleteFrom('gone_documents').where('document_id', '=', document_id).execute();
    }
  }
}
