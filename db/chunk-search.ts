import { sql } from 'kysely';
import type { Db } from './index.ts';
import type { SearchedBase } from './knowledge-bases.ts';

/** How chunks are found: by their words, and by how near their embeddings are. Always within one base. */

/** Which chunk, and how well it fits; the best first. */
export type Found = { document_id: string; position: number; score: number };

/** Only of documents that are, or once were, indexed to their end. */
function isFound(knowledge_id: string) {
  return sql<boolean>`document_id in (
    select document_id from documents where knowledge_id = ${knowledge_id} and indexed_at is not null)`;
}

/** The chunks of a base that these words are in: plain letters and digits. A word counts the more, the rarer it is there. */
export async function findByWords(db: Db, knowledge_id: string, words: string[], limit: number): Promise<Found[]> {
  if (words.length === 0) return [];
  const { rows } = await sql<Found>`select * from find_by_words(${knowledge_id}, ${words}, ${limit})`.execute(db);
  return rows;
}

/** From so many chunks on, neighbours are looked for by their index, which may miss one; below, all are compared. */
export const comparedWhole = 10_000;

type Wanted = { vector: Float32Array; chunks: number; limit: number };

/** The chunks that are nearest to a unit vector, by pgvector. `score` is the cosine. */
export async function findNearest(db: Db, base: SearchedBase, { vector, chunks, limit }: Wanted): Promise<Found[]> {
  if (chunks > comparedWhole) {
    const found = await nearest(db, base, vector, limit, true);
    // Where other bases have all that is near, the index ends before there are enough.
    if (found.length >= Math.min(limit, chunks)) return found;
  }
  return nearest(db, base, vector, limit, false);
}

function nearest(
  db: Db,
  { knowledge_id, embedding_version }: SearchedBase,
  vector: Float32Array,
  limit: number,
  byIndex: boolean,
): Promise<Found[]> {
  // Not a parameter: the index is of one number of dimensions, which the planner must see.
  const size = sql.lit(vector.length);
  const distance = sql`embedding::vector(${size}) <=> ${`[${vector.join()}]`}::vector(${size})`;
  return db.transaction().execute(async (trx) => {
    if (byIndex) {
      await sql`set local hnsw.ef_search = 100`.execute(trx);
      await sql`set local hnsw.iterative_scan = strict_order`.execute(trx);
    }
    // With something added to it, no index is of this order.
    const order = byIndex ? distance : sql`(${distance}) + 0`;
    // Of those that are as near, the same ones are cut off as without pgvector; an index has no second order.
    const andThen = byIndex ? sql`` : sql`, document_id collate "C", position`;
    const { rows } = await sql<Found>`
      select document_id, position, 1 - distance as score from (
        select document_id, position, ${order} as distance from chunks
        where knowledge_id = ${knowledge_id} and dimensions = ${size} and embedding_version = ${embedding_version}
          and ${isFound(knowledge_id)}
        order by ${order}${andThen} limit ${limit}) as near
      order by distance, document_id collate "C", position`.execute(trx);
    return rows;
  });
}

/** A document whose chunks are embedded, all or some; `state` is another when more are. */
export type EmbeddedDocument = { document_id: string; state: string; chunks: number };

/** The documents of a base that are found by their embeddings. */
export function listEmbeddedDocuments(
  db: Db,
  { knowledge_id, embedding_version }: SearchedBase,
): Promise<EmbeddedDocument[]> {
  return db
    .selectFrom('documents')
    .select(['document_id', 'chunks_done as chunks'])
    .select(sql<string>`concat_ws('/', ${embedding_version}::integer, attempt, chunks_done)`.as('state'))
    .where('knowledge_id', '=', knowledge_id)
    .where('indexed_at', 'is not', null)
    .where('chunks_done', '>', 0)
    .orderBy('document_id')
    .execute();
}

/** An embedding as bytes: floats in the order of the network. */
export type EmbeddingBytes = { document_id: string; position: number; floats: Buffer };

/** The embeddings of documents, in the order of their ids and positions, from this place on. */
export async function listEmbeddings(
  db: Db,
  { embedding_version }: SearchedBase,
  document_ids: string[],
  after: { document_id: string; position: number },
  limit: number,
): Promise<EmbeddingBytes[]> {
  const { rows } = await sql<EmbeddingBytes>`
    select document_id, position, floats from chunks
    where document_id = any(${document_ids}) and embedding_version = ${embedding_version}
      and (document_id, position) > (${after.document_id}, ${after.position})
    order by document_id, position limit ${limit}`.execute(db);
  return rows;
}

/** What is shown of a chunk that is found. */
export type Passage = {
  document_id: string;
  position: number;
  knowledge_id: string;
  document: string;
  page: number | null;
  heading: string | null;
  text: string;
};

/** These chunks, in any order; those that are gone meanwhile are not there. */
export async function listPassages(db: Db, found: { document_id: string; position: number }[]): Promise<Passage[]> {
  if (found.length === 0) return [];
  const wanted = found.map(({ document_id, position }) => ({ document_id, position }));
  const { rows } = await sql<Passage>`
    select chunks.document_id, chunks.position, chunks.knowledge_id, documents.name as document, page, heading, text
    from jsonb_to_recordset(${JSON.stringify(wanted)}::jsonb) as wanted (document_id text, position integer)
    join chunks on chunks.document_id = wanted.document_id and chunks.position = wanted.position
    join documents on documents.document_id = chunks.document_id`.execute(db);
  return rows;
}
