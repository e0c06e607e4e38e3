import type { Logger } from 'pino';
import type { Db } from '../../db/index.ts';
import {
  deleteKnowledgeBase,
  findKnowledgeBase,
  insertKnowledgeBase,
  updateKnowledgeBase,
  type EmbeddingChange,
  type KnowledgeBaseView,
} from '../../db/knowledge-bases.ts';
import { findActiveProvider, listProviders } from '../../db/providers.ts';
import type { Principal } from '../accounts/principal.ts';
import { DomainError, InvalidInputError, notFound, providerNotFound } from '../errors.ts';
import { forgetFiles } from '../files/keep.ts';
import type { FileStore } from '../files/store.ts';
import { newId, type IdSeed } from '../ids.ts';
import { DEFAULT_EMBEDDING_MODELS, hasEmbeddings } from '../llm/index.ts';
import { forgetChunks } from './documents.ts';
import { hashDimensions, hashModel } from './hash-embedder.ts';

/** Knowledge bases of accounts: each has one model of embeddings, which all of its documents are embedded by. */

type Deps = { db: Db; files: FileStore; log: Logger };

/** What is asked for of embeddings; what is not said is as it comes. */
export type EmbeddingInput = { provider_id?: string | null; model?: string; dimensions?: number };

/**
 * Makes a base. Unless its embedding is named, the account's newest provider at OpenAI's or Gemini's own address embeds, and
 * else our own hashed words. Throws `NOT_FOUND` for a provider, `InvalidInputError` for one without embeddings, and
 * `LimitReached` when the account has `most` bases.
 */
export async function createKnowledgeBase(
  { db }: Deps,
  { account_id }: Principal,
  {
    name,
    description,
    embedding,
  }: { name: string; description?: string | undefined; embedding?: EmbeddingInput | undefined },
  most: number,
  idempotency: IdSeed | undefined,
): Promise<KnowledgeBaseView> {
  const knowledge_id = newId('knowledge', idempotency);
  const chosen = embedding ? await chooseEmbedding(db, account_id, embedding) : await ownEmbedding(db, account_id);
  return insertKnowledgeBase(db, { knowledge_id, account_id, name, description: description || null, ...chosen }, most);
}

/** Throws `NOT_FOUND`. */
export async function getKnowledgeBase(
  { db }: { db: Db },
  { account_id }: Principal,
  knowledge_id: string,
): Promise<KnowledgeBaseView> {
  const base = await findKnowledgeBase(db, account_id, knowledge_id);
  if (!base) throw notFound('Knowledge base');
  return base;
}

/**
 * Changes a base; what is not given stays. With another model its documents are embedded anew, one after another; meanwhile they
 * are found by their words. Throws as `createKnowledgeBase`, and `NOT_FOUND`; `PRECONDITION_FAILED` when its version is none of
 * `versions`, where they are given; and `KNOWLEDGE_INDEXING` for another model while documents are being indexed.
 */
export async function changeKnowledgeBase(
  { db }: Deps,
  { account_id }: Principal,
  knowledge_id: string,
  {
    embedding,
    ...given
  }: { name?: string | undefined; description?: string | null | undefined; embedding?: EmbeddingInput | undefined },
  versions?: string[],
): Promise<KnowledgeBaseView> {
  const change = { ...given, ...(embedding && { embedding: await chooseEmbedding(db, account_id, embedding) }) };
  const changed = await updateKnowledgeBase(db, account_id, knowledge_id, change, versions);
  if (!changed) throw notFound('Knowledge base');
  if (changed === 'indexing') {
    const message =
      'Documents of this knowledge base are being indexed; it can have another embedding when they are done.';
    throw new DomainError('KNOWLEDGE_INDEXING', message, { retry_after_seconds: 30 });
  }
  if (changed === 'changed') throw new DomainError('PRECONDITION_FAILED', 'The knowledge base was changed since.');
  return changed;
}

/** Deletes a base with its documents and their files; what is being indexed ends. Throws `NOT_FOUND`. */
export async function removeKnowledgeBase(deps: Deps, { account_id }: Principal, knowledge_id: string): Promise<void> {
  const file_ids = await deleteKnowledgeBase(deps.db, account_id, knowledge_id);
  if (!file_ids) throw notFound('Knowledge base');
  forgetFiles(deps, file_ids);
  forgetChunks(deps);
}

const hashed: EmbeddingChange = { provider_id: null, embedding_model: hashModel, dimensions: hashDimensions };

async function ownEmbedding(db: Db, account_id: string): Promise<EmbeddingChange> {
  const own = await listProviders(db, account_id);
  // What is at another address may have no embeddings, and what runs at home may not have that model.
  const usual = own.find(({ provider, base_url }) => !base_url && (provider === 'openai' || provider === 'gemini'));
  return usual ? chooseEmbedding(db, account_id, { provider_id: usual.provider_id }) : hashed;
}

async function chooseEmbedding(
  db: Db,
  account_id: string,
  { provider_id = null, model, dimensions }: EmbeddingInput,
): Promise<EmbeddingChange> {
  if (provider_id === null) {
    if ((model ?? hashModel) === hashModel && (dimensions ?? hashDimensions) === hashDimensions) return hashed;
    const detail = `is needed for any other model than "${hashModel}", which has ${hashDimensions} dimensions`;
    throw new InvalidInputError([{ path: ['embedding', 'provider_id'], detail }]);
  }
  const provider = await findActiveProvider(db, account_id, provider_id);
  if (!provider) throw providerNotFound([['embedding', 'provider_id']]);
  const vendor = provider.provider;
  if (!hasEmbeddings(vendor)) {
    const detail = `is a provider of ${vendor}, which has no embeddings: it takes one of openai, gemini or ollama`;
    throw new InvalidInputError([{ path: ['embedding', 'provider_id'], detail }]);
  }
  if (vendor === 'ollama' && dimensions !== undefined) {
    const detail = 'cannot be asked for with Ollama: it has those of the model';
    throw new InvalidInputError([{ path: ['embedding', 'dimensions'], detail }]);
  }
  // Of these models the first numbers say most, and those that they have by themselves have no index in pgvector.
  const asked = model ?? DEFAULT_EMBEDDING_MODELS[vendor];
  const usual =
    vendor === 'gemini' && model === undefined
      ? 768
      : vendor === 'openai' && asked === 'text-embedding-3-large'
        ? 1_536
        : null;
  return {
    provider_id,
    embedding_model: asked,
    dimensions: dimensions ?? usual,
  };
}
