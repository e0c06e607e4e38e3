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

/** Of one document, or a part of it: its vectors, one after another, and of which chunk each is. */
type Page = { document_id: string; positions: number[]; vectors: Float32Array };

type Search = { vector: Float32Array; limit: number; signal: AbortSignal; best: Found[] };

export type VectorCache = ReturnType<typeof createVectorCache>;

/** So many bytes of embeddings are asked for at once. */
const atOnce = 4 * 1024 * 1024;
/** After so many products, others have a turn. */
const turn = 4_000_000;

/**
 * Keeps embeddings of documents that were searched last, in `most_bytes` at most. One base is read at a time, for all searches
 * that wait for it; one that is larger by itself is read anew, page by page, and never there whole.
 */
export function createVectorCache(most_bytes: number) {
  const { keep, find } = createKept(most_bytes);
  /** Those that have yet to begin, by base. */
  const passes = new Map<string, { searches: Search[]; done: Promise<void> }>();
  let last = Promise.resolve();

  /** Compares a base with all of these searches, as far as it is here, and reads the rest for them. */
  async function compareAll(db: Db, base: SearchedBase, searches: Search[]): Promise<void> {
    const documents = await listEmbeddedDocuments(db, base);
    const fits = documents.reduce((sum, { chunks }) => sum + chunks * base.dimensions! * 4, 0) <= most_bytes;
    const missing: EmbeddedDocument[] = [];
    const here = documents.flatMap((document) => {
      const pages = find(document);
      if (!pages) missing.push(document);
      return pages ?? [];
    });
    await compare(here, searches);
    const byId = new Map(missing.map((document) => [document.document_id, document]));
    let own: Page[] = [];
    const keepOwn = () => own[0] && fits && keep(keyOf(byId.get(own[0].document_id)!), own);
    for await (const page of readPages(db, base, [...byId.keys()])) {
      if (own[0]?.document_id !== page.document_id) {
        keepOwn();
        own = [];
      }
      if (fits) own.push(page);
      await compare([page], searches);
      // Nobody waits for the rest.
      if (searches.every(({ signal }) => signal.aborted)) return;
    }
    keepOwn();
  }

  /** Together with those who search in the same base and have not begun, after those who read another. */
  function joinPass(db: Db, base: SearchedBase, search: Search): Promise<void> {
    const key = `${base.knowledge_id}/${base.embedding_version}`;
    const waiting = passes.get(key);
    if (waiting) {
      waiting.searches.push(search);
      return waiting.done;
    }
    const searches = [search];
    const done = last.then(async () => {
      passes.delete(key);
      if (searches.some(({ signal }) => !signal.aborted)) await compareAll(db, base, searches);
    });
    passes.set(key, { searches, done });
    last = done.catch(() => {});
    return done;
  }

  /**
   * The chunks of a base that are nearest to a unit vector, among all of them. `score` is the cosine.
   * @throws `signal.reason` when cancelled, and what Postgres throws.
   */
  async function findNearest(
    db: Db,
    base: SearchedBase,
    { vector, limit, signal }: Omit<Search, 'best'>,
  ): Promise<Found[]> {
    const search: Search = { vector, limit, signal, best: [] };
    const documents = await listEmbeddedDocuments(db, base);
    const here = documents.map(find);
    const isHere = here.every((pages) => pages !== undefined);
    await orCancelled(signal, isHere ? compare(here.flat(), [search]) : joinPass(db, base, search));
    return search.best;
  }

  return { findNearest };
}

/** The pages of documents that were used last. */
function createKept(most_bytes: number) {
  const kept = new Map<string, Page[]>();
  let bytes = 0;

  function keep(key: string, pages: Page[]): void {
    forget(key);
    kept.set(key, pages);
    bytes += sizeOf(pages);
    for (const oldest of kept.keys()) {
      if (bytes <= most_bytes) break;
      forget(oldest);
    }
  }

  function forget(key: string): void {
    const pages = kept.get(key);
    if (!pages) return;
    bytes -= sizeOf(pages);
    kept.delete(key);
  }

  /** What was used last goes last. */
  function find(document: EmbeddedDocument): Page[] | undefined {
    const pages = kept.get(keyOf(document));
    if (!pages) return undefined;
    kept.delete(keyOf(document));
    kept.set(keyOf(document), pages);
    return pages;
  }

  return { keep, find };
}

async function orCancelled(signal: AbortSignal, work: Promise<void>): Promise<void> {
  const { promise: cancelled, reject } = Promise.withResolvers<never>();
  const cancel = () => reject(signal.reason as Error);
  signal.addEventListener('abort', cancel);
  try {
    await Promise.race([work, cancelled]);
    signal.throwIfAborted();
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}

function keyOf({ document_id, state }: EmbeddedDocument): string {
  return `${document_id}/${state}`;
}

function sizeOf(pages: Page[]): number {
  return pages.reduce((sum, { vectors }) => sum + vectors.byteLength, 0);
}

async function compare(pages: Page[], searches: Search[]): Promise<void> {
  let products = 0;
  for (const { document_id, positions, vectors } of pages) {
    for (const { vector, limit, signal, best } of searches) {
      for (let index = 0; index < positions.length && !signal.aborted; index += 1) {
        const score = product(vector, vectors, index * vector.length);
        const last = best[limit - 1];
        if (!last || score >= last.score) insert(best, { document_id, position: positions[index]!, score }, limit);
        products += vector.length;
        if (products > turn) {
          products = 0;
          await giveWay();
        }
      }
    }
  }
}

function product(one: Float32Array, many: Float32Array, at: number): number {
  let sum = 0;
  for (let index = 0; index < one.length; index += 1) sum += one[index]! * many[at + index]!;
  return sum;
}

/** Into what is sorted, of which the last goes when there are more than `limit`. */
function insert(best: Found[], found: Found, limit: number): void {
  let at = best.length;
  while (at > 0 && isBefore(found, best[at - 1]!)) at -= 1;
  best.splice(at, 0, found);
  if (best.length > limit) best.pop();
}

/** As pgvector's are sorted, in `db/chunk-search.ts`. */
function isBefore(a: Found, b: Found): boolean {
  if (a.score !== b.score) return a.score > b.score;
  return a.document_id === b.document_id ? a.position < b.position : a.document_id < b.document_id;
}

/** The embeddings of these documents, one document after another, each in one page or in several. */
async function* readPages(db: Db, base: SearchedBase, ids: string[]): AsyncGenerator<Page> {
  if (ids.length === 0) return;
  const dimensions = base.dimensions!;
  const limit = Math.ceil(atOnce / (dimensions * 4));
  for (let after = { document_id: '', position: 0 }; ;) {
    const rows = await listEmbeddings(db, base, ids, after, limit);
    for (let at = 0; at < rows.length;) {
      const { document_id } = rows[at]!;
      const next = rows.findIndex((row, index) => index > at && row.document_id !== document_id);
      const end = next < 0 ? rows.length : next;
      yield pageOf(document_id, rows.slice(at, end), dimensions);
      at = end;
    }
    if (rows.length < limit) return;
    after = rows.at(-1)!;
  }
}

function pageOf(document_id: string, rows: EmbeddingBytes[], dimensions: number): Page {
  const bytes = Buffer.from(new ArrayBuffer(rows.length * dimensions * 4));
  for (const [row, { floats }] of rows.entries()) floats.copy(bytes, row * dimensions * 4);
  // They are in the order of the network, and every machine that Node runs on has the other.
  bytes.swap32();
  return { document_id, positions: rows.map(({ position }) => position), vectors: new Float32Array(bytes.buffer) };
}
