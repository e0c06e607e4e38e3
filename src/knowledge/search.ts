import { findByWords, findNearest, listPassages, type Found, type Passage } from '../../db/chunk-search.ts';
import { countChunks, findQueryEmbedding, insertEmbeddingCall, saveQueryEmbedding } from '../../db/chunks.ts';
import { isUnavailable } from '../../db/index.ts';
import { listSearchedBases, type SearchedBase } from '../../db/knowledge-bases.ts';
import { wordsOf } from '../extraction/index.ts';
import { newId } from '../ids.ts';
import { LlmError } from '../llm/index.ts';
import { embed, NoEmbedding, type EmbedDeps, type Embedded } from './embed.ts';
import type { VectorCache } from './vectors.ts';

/** Searching: by words and by embeddings, the two joined by reciprocal rank. */

export type SearchDeps = EmbedDeps & { vectors: VectorCache };

/** A passage that is found. A rank is null where that way has not found it. */
export type SearchResult = Passage & {
  score: number;
  text_rank: number | null;
  vector_rank: number | null;
  similarity: number | null;
};

/**
 * `caller`: the call of a tool that searches, in whose run the embedding of the query is paid, and once. `isTest`: of the models
 * that embed, only our own, which costs nothing, is asked.
 */
export type SearchOptions = {
  signal: AbortSignal;
  timeout_ms: number;
  isTest?: boolean;
  caller?: { run_id: string; task_id: string | null; call_id: string } | undefined;
};

export type SearchAnswer = { results: SearchResult[]; warnings: string[] };

/** Which ways are gone: both, unless the quality of one is to be measured. */
export type Ways = 'both' | 'text' | 'vectors';

/** Of reciprocal rank fusion, as in its paper (Cormack, Clarke and Büttcher, SIGIR 2009). */
const k = 60;
/** So many of each way are joined, or more where more are wanted. */
const candidates = 50;
const mostWords = 64;

/**
 * The passages of these bases that fit a query best, the best first; bases that the account does not have are not searched. Where
 * the model of a base cannot be asked, its words alone count, and a warning says so.
 * @throws `signal.reason` when cancelled, and what Postgres throws.
 */
export async function searchKnowledge(
  deps: SearchDeps,
  account_id: string,
  knowledge_ids: string[],
  { query, limit, ways = 'both' }: { query: string; limit: number; ways?: Ways },
  options: SearchOptions,
): Promise<SearchAnswer> {
  const bases = await listSearchedBases(deps.db, account_id, knowledge_ids);
  const words = [...new Set(wordsOf(query))].slice(0, mostWords);
  const most = Math.max(candidates, limit);
  const warnings: string[] = [];
  const ofBases = await Promise.all(
    bases.map(async (base) => {
      const [byText, byVectors] = await Promise.all([
        ways === 'vectors' ? [] : findByWords(deps.db, base.knowledge_id, words, most),
        ways === 'text' ? [] : nearestTo(deps, base, query, most, warnings, options),
      ]);
      return fuse(byText, byVectors);
    }),
  );
  const best = ofBases.flat().toSorted(byScore).slice(0, limit);
  const passages = new Map((await listPassages(deps.db, best)).map((passage) => [keyOf(passage), passage]));
  const results = best.flatMap(({ score, text_rank, vector_rank, similarity, ...which }) => {
    const passage = passages.get(keyOf(which));
    return passage ? [{ ...passage, score, text_rank, vector_rank, similarity }] : [];
  });
  return { results, warnings };
}

/** Of two that each way has swapped, the one with the words comes first. */
function byScore(a: Ranked, b: Ranked): number {
  const byText = (a.text_rank ?? Infinity) - (b.text_rank ?? Infinity);
  if (b.score !== a.score || byText) return b.score - a.score || byText;
  if (a.document_id === b.document_id) return a.position - b.position;
  return a.document_id < b.document_id ? -1 : 1;
}

type Ranked = Found & Pick<SearchResult, 'text_rank' | 'vector_rank' | 'similarity'>;

function fuse(byText: Found[], byVectors: Found[]): Ranked[] {
  const ranked = new Map<string, Ranked>();
  const add = (found: Found, more: Partial<Ranked>, rank: number) => {
    const none = { text_rank: null, vector_rank: null, similarity: null };
    const before = ranked.get(keyOf(found)) ?? { ...found, ...none, score: 0 };
    ranked.set(keyOf(found), { ...before, ...more, score: before.score + 1 / (k + rank) });
  };
  for (const [index, found] of byText.entries()) add(found, { text_rank: index + 1 }, index + 1);
  for (const [index, found] of byVectors.entries()) {
    add(found, { vector_rank: index + 1, similarity: found.score }, index + 1);
  }
  return [...ranked.values()];
}

function keyOf({ document_id, position }: { document_id: string; position: number }): string {
  return `${document_id}/${position}`;
}

async function nearestTo(
  deps: SearchDeps,
  base: SearchedBase,
  query: string,
  limit: number,
  warnings: string[],
  options: SearchOptions,
): Promise<Found[]> {
  // Nothing of it is embedded yet.
  if (base.dimensions === null) return [];
  const chunks = await countChunks(deps.db, base.knowledge_id);
  if (chunks === 0) return [];
  const { caller, isTest } = options;
  if (isTest && base.provider_id !== null) {
    warnings.push(`${base.name} was searched by words only: this is a test, and no model is paid.`);
    return [];
  }
  const call_id = caller ? `${caller.call_id}/${base.knowledge_id}` : newId('embedding');
  const run = caller && { run_id: caller.run_id, task_id: caller.task_id };
  const journal = async (call: Embedded['call'], vector?: Float32Array) => {
    if (!call) return;
    const paid = { ...call, call_id, run, purpose: 'embed_query' as const };
    await (run && vector ? saveQueryEmbedding(deps.db, paid, vector) : insertEmbeddingCall(deps.db, paid));
  };
  try {
    let vector = caller && (await findQueryEmbedding(deps.db, call_id));
    if (vector?.length !== base.dimensions) {
      const { vectors, call } = await embed(deps, base, { texts: [query], role: 'query' }, options);
      vector = vectors[0]!;
      await journal(call, vector);
    }
    return base.has_pgvector
      ? await findNearest(deps.db, base, { vector, chunks, limit })
      : await deps.vectors.findNearest(deps.db, base, { vector, limit, signal: options.signal });
  } catch (error) {
    options.signal.throwIfAborted();
    if (error instanceof NoEmbedding) await journal(error.call);
    if (isUnavailable(error) || !(error instanceof NoEmbedding || error instanceof LlmError)) throw error;
    warnings.push(`${base.name} was searched by words only: ${error.message}`);
    return [];
  }
}
