import { ApplicationFailure, Context } from '@temporalio/activity';
import {
  countEmbedded,
  insertEmbeddingCall,
  replaceChunks,
  saveEmbeddings,
  takeUnembedded,
  type NewChunk,
} from '../db/chunks.ts';
import { findIndexedDocument, finishIndexing, saveDocumentProgress, type IndexedDocument } from '../db/indexings.ts';
import { isUnavailable } from '../db/index.ts';
import { setDimensions } from '../db/knowledge-bases.ts';
import { LimitReached } from '../db/limits.ts';
import { maxChunksOfBase } from '../src/knowledge/bounds.ts';
import { embed, NoEmbedding, type Embedded } from '../src/knowledge/embed.ts';
import { readWhole } from '../src/files/read.ts';
import { extract, formatNames, formatOf, Unreadable } from '../src/extraction/index.ts';
import { NoThreadError } from '../src/javascript/index.ts';
import type { IndexingRef } from '../workflows/contract/knowledge.ts';
import { keep } from './at-work.ts';
import type { ActivityDeps } from './deps.ts';
import { paidInVain, refusalOf } from './failures.ts';
import { noReader, putOff, whileSuspended } from './places.ts';

const heartbeatInterval_ms = 2_000;
/** How often readers are told of pages. */
const toldEvery_ms = 500;
/** In one call of a model: within what each vendor takes. */
const batch = 64;

/** How documents are indexed, step by step. */
export function createIndexingActivities(deps: ActivityDeps) {
  return {
    /** Takes the text out of a document and cuts it into chunks, once: what is cut stays so. */
    extractDocument: (ref: IndexingRef) => ofDocument(deps, ref, (document) => extractDocument(deps, ref, document)),
    /** Embeds the next chunks of a document, and pays for each once. `left`: not 0 where there may be more. */
    embedChunks: (ref: IndexingRef) =>
      ofDocument(deps, ref, (document) => inPlace(deps, document, () => embedChunks(deps, ref, document))),
    /** Notes how it has ended, and has its account told. */
    async finishIndexing(ref: IndexingRef, reason: string | null): Promise<void> {
      if (await finishIndexing(deps.db, ref, reason)) deps.courier.look();
    },
  };
}

/**
 * Work on a document. Heartbeats keep the activity alive for the server, and bring the
 * cancellation when the document is deleted.
 * @throws `DocumentGone` when nothing is to be done any more.
 */
async function ofDocument<T>(
  deps: ActivityDeps,
  ref: IndexingRef,
  doIt: (document: IndexedDocument) => Promise<T>,
): Promise<T> {
  const context = Context.current();
  const timer = setInterval(() => context.heartbeat(paidInVain()), heartbeatInterval_ms);
  try {
    const document = await findIndexedDocument(deps.db, ref);
    if (!document) throw ApplicationFailure.nonRetryable('The document is gone.', 'DocumentGone');
    if (document.suspended_ms !== null) throw whileSuspended(document.suspended_ms, true);
    return await doIt(document);
  } finally {
    clearInterval(timer);
  }
}

/** Does it in one of the places of the account. Reading needs none: its threads are shared out by themselves. */
async function inPlace<T>({ places }: ActivityDeps, { account_id }: IndexedDocument, doIt: () => Promise<T>) {
  const leave = places.take(account_id);
  if (!leave) {
    const message = 'Much work of this account is under way; this waits until there is room.';
    throw putOff('WorkQueued', message, places.pause(account_id));
  }
  return doIt().finally(leave);
}

function unreadable(reason: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(reason, 'DocumentUnreadable');
}

async function extractDocument(deps: ActivityDeps, ref: IndexingRef, document: IndexedDocument): Promise<void> {
  const { db } = deps;
  const { knowledge_id, name, media_type, file_id, size } = document;
  // Cut before: by a try that could not report it, or when it was indexed by another model.
  if (document.chunks !== null) return;
  const format = formatOf(name, media_type);
  if (!format) throw unreadable(`It is of no kind that is read: ${formatNames}.`);
  const chunks: NewChunk[] = [];
  let pages: number | null = null;
  let told_at = 0;
  let telling = Promise.resolve();
  const { cancellationSignal } = Context.current();
  try {
    await extract(
      document.account_id,
      { format, readBytes: () => readWhole(deps.files, { file_id, size }) },
      (told) => {
        chunks.push(...told.chunks);
        pages = told.pages;
        if (performance.now() - told_at < toldEvery_ms) return;
        told_at = performance.now();
        // Readers who miss it are told by the next.
        telling = saveDocumentProgress(db, ref, { pages, pages_done: told.pages_done }).catch(() => {});
      },
      cancellationSignal,
    );
  } catch (error) {
    if (error instanceof Unreadable) throw unreadable(error.message);
    if (error instanceof NoThreadError) throw noReader();
    throw error;
  }
  await telling;
  const isThere = await replaceChunks(db, ref, knowledge_id, { chunks, pages, most: maxChunksOfBase }).catch(
    (error: unknown) => {
      throw error instanceof LimitReached ? unreadable(error.message) : error;
    },
  );
  if (!isThere) {
    throw ApplicationFailure.nonRetryable('The document is gone.', 'DocumentGone');
  }
}

async function embedChunks(deps: ActivityDeps, ref: IndexingRef, document: IndexedDocument): Promise<{ left: number }> {
  const { db } = deps;
  const { embedding_version } = document;
  const { chunks, isLast } = await takeUnembedded(db, document, batch);
  if (chunks.length > 0) {
    const texts = chunks.map(({ heading, text }) => (heading ? `${heading}\n${text}` : text));
    const call_id = `${ref.document_id}/embed/${ref.attempt}/${chunks[0]!.position}`;
    const { vectors, paid } = await embedded(deps, ref, document, { texts, call_id });
    const dimensions = await keep(() => setDimensions(db, document, vectors[0]!.length));
    // Where it is of no use, the call is written by itself; else with its vectors, so that a retry pays for both or for neither.
    if (dimensions !== vectors[0]!.length && paid) await keep(() => insertEmbeddingCall(db, paid));
    // Another model was chosen meanwhile, and another indexing begun.
    if (dimensions === undefined) throw ApplicationFailure.nonRetryable('The document is gone.', 'DocumentGone');
    if (dimensions !== vectors[0]!.length) {
      throw unreadable(`The model has answered with ${vectors[0]!.length} dimensions, and before with ${dimensions}.`);
    }
    const rows = chunks.map(({ position }, index) => ({ position, embedding: vectors[index]! }));
    await keep(() => saveEmbeddings(db, document, rows, paid));
  }
  await countEmbedded(db, ref, embedding_version);
  return { left: isLast ? 0 : 1 };
}

async function embedded(
  deps: ActivityDeps,
  ref: IndexingRef,
  document: IndexedDocument,
  { texts, call_id }: { texts: string[]; call_id: string },
) {
  const { cancellationSignal } = Context.current();
  const toPaid = (call: Embedded['call']) => call && { ...call, call_id, purpose: 'embed_chunks' as const };
  try {
    const options = { signal: cancellationSignal, timeout_ms: deps.llm_timeout_ms };
    const { vectors, call } = await embed(deps, document, { texts, role: 'passage' }, options);
    return { vectors, paid: toPaid(call) };
  } catch (error) {
    cancellationSignal.throwIfAborted();
    if (error instanceof NoEmbedding) {
      const paid = toPaid(error.call);
      if (paid) await keep(() => insertEmbeddingCall(deps.db, paid));
      throw unreadable(error.message);
    }
    if (isUnavailable(error)) throw error;
    throw refusalOf(error, ref.document_id);
  }
}
