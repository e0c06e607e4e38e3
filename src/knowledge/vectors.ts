import { setImmediate as giveWay } from 'node:timers/promises';
import {
  listEmbeddedDocuments,
  listEmbeddings,
  type EmbeddedDocument,
  type Found,
  type EmbeddingBytes,
} from '../../db/chunk-search.ts';
import type { Db } from '../../db/index.ts';
import type { SearchedBase } from '../../db/knowledge-bases.ts';

/** The embeddings of documents in this process, for servers without pgvector: exact, and as fast as memory. */

/** Of one document: its vectors, one after another, and of which chunk each is. */
type Block = { positions: number[]; vectors: Float32Array };

export type VectorCache = ReturnType<typeof createVectorCache>;

/** In so many bytes of text embeddings are asked for at once. */
const atOnce = 8 * 1024 * 1024;
/** After so many products, others have a turn. */
const turn = 4_000_000;

/**
 * Keeps embeddings of documents that were searched last, in `most_bytes` at most. A base that is larger by itself is read anew by
 * each search.
 */
export function createVectorCache(most_bytes: number) {
  const blocks = new Map<string, Block>();
  let bytes = 0;

  function keep(key: string, block: Block): void {
    forget(key);
    blocks.set(key, block);
    bytes += block.vectors.byteLength;
    for (const oldest of blocks.keys()) {
      if (bytes <= most_bytes) break;
      forget(oldest);
    }
  }

  function forget(key: string): void {
    const block = blocks.get(key);
    if (!block) return;
    bytes -= block.vectors.byteLength;
    blocks.delete(key);
  }

  /** The blocks of a base, those that are here first. */
  async function* blocksOf(db: Db, base: SearchedBase): AsyncGenerator<{ document_id: string } & Block> {
    const documents = await listEmbeddedDocuments(db, base);
    const keyOf = ({ document_id, state }: EmbeddedDocument) => `${document_id}/${state}`;
    const missing: EmbeddedDocument[] = [];
    for (const document of documents) {
      const key = keyOf(document);
      const block = blocks.get(key);
      if (!block) missing.push(document);
      else {
        // The last that was used goes last.
        blocks.delete(key);
        blocks.set(key, block);
        yield { document_id: document.document_id, ...block };
      }
    }
    const size = documents.reduce((sum, { chunks }) => sum + chunks * base.dimensions! * 4, 0);
    for await (const [document, block] of load(db, base, missing)) {
      if (size <= most_bytes) keep(keyOf(document), block);
      yield { document_id: document.document_id, ...block };
    }
  }

  /** The chunks of a base that are nearest to a unit vector, among all of them. `score` is the cosine. */
  async function findNearest(db: Db, base: SearchedBase, vector: Float32Array, limit: number): Promise<Found[]> {
    const best: Found[] = [];
    let products = 0;
    for await (const { document_id, positions, vectors } of blocksOf(db, base)) {
      for (let index = 0; index < positions.length; index += 1) {
        const score = product(vector, vectors, index * vector.length);
        const last = best[limit - 1];
        if (!last || score > last.score) insert(best, { document_id, position: positions[index]!, score }, limit);
        products += vector.length;
        if (products > turn) {
          products = 0;
          await giveWay();
        }
      }
    }
    return best;
  }

  return { findNearest };
}

function product(one: Float32Array, many: Float32Array, at: number): number {
  let sum = 0;
  for (let index = 0; index < one.length; index += 1) sum += one[index]! * many[at + index]!;
  return sum;
}

/** Into what is sorted, of which the last goes when there are more than `limit`. */
function insert(best: Found[], found: Found, limit: number): void {
  let at = best.length;
  while (at > 0 && best[at - 1]!.score < found.score) at -= 1;
  best.splice(at, 0, found);
  if (best.length > limit) best.pop();
}

async function* load(
  db: Db,
  base: SearchedBase,
  documents: EmbeddedDocument[],
): AsyncGenerator<[EmbeddedDocument, Block]> {
  if (documents.length === 0) return;
  const dimensions = base.dimensions!;
  const byId = new Map(documents.map((document) => [document.document_id, document]));
  const ids = [...byId.keys()];
  const limit = Math.ceil(atOnce / (dimensions * 8));
  let own: EmbeddingBytes[] = [];
  for (let after = { document_id: '', position: 0 }; ;) {
    const rows = await listEmbeddings(db, base, ids, after, limit);
    for (const row of rows) {
      if (own[0] && own[0].document_id !== row.document_id) {
        yield [byId.get(own[0].document_id)!, blockOf(own, dimensions)];
        own = [];
      }
      own.push(row);
    }
    if (rows.length < limit) break;
    after = rows.at(-1)!;
  }
  if (own[0]) yield [byId.get(own[0].document_id)!, blockOf(own, dimensions)];
}

function blockOf(rows: EmbeddingBytes[], dimensions: number): Block {
  const vectors = new Float32Array(rows.length * dimensions);
  for (const [row, { floats }] of rows.entries()) {
    for (let index = 0; index < dimensions; index += 1) {
      vectors[row * dimensions + index] = floats.readFloatBE(index * 4);
    }
  }
  return { positions: rows.map(({ position }) => position), vectors };
}
