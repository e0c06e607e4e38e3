import type { EmbeddingCall } from '../../db/chunks.ts';
import type { Db } from '../../db/index.ts';
import type { KnowledgeBase } from '../../db/schema.ts';
import { findUsableProvider } from '../../db/providers.ts';
import { decrypt, OtherKeyError, providerKeyContext, type KeyRing } from '../crypto.ts';
import { costUsd, embedTexts, hasEmbeddings, LlmError, type EmbeddingRequest } from '../llm/index.ts';
import { maxDimensions } from './bounds.ts';
import { hashVector } from './hash-embedder.ts';

/** How the texts of a base become vectors: by a provider of its account, or by our own. */

export type EmbedDeps = { db: Db; fetch: typeof fetch; encryptionKey: KeyRing };

/** What a base says of it. */
export type Embedder = Pick<
  KnowledgeBase,
  'knowledge_id' | 'account_id' | 'provider_id' | 'embedding_model' | 'dimensions'
>;

/** Unit vectors of texts in their order, and what is to be journalled of the call, where one was paid for. */
export type Embedded = { vectors: Float32Array[]; call?: Omit<EmbeddingCall, 'call_id' | 'purpose'> };

/** A provider that cannot be asked, or does not do what the base needs. Its message is for its account. */
export class NoEmbedding extends Error {
  override readonly name = 'NoEmbedding';
  /** What was paid all the same. */
  readonly call: Embedded['call'];

  constructor(message: string, call?: Embedded['call']) {
    super(message);
    this.call = call;
  }
}

/**
 * Embeds texts of a base, or what is searched for in it.
 * @throws `NoEmbedding`, `LlmError`, `OtherKeyError` where this process has not the key of the provider, or `signal.reason`.
 */
export async function embed(
  deps: EmbedDeps,
  base: Embedder,
  { texts, role }: Pick<EmbeddingRequest, 'texts' | 'role'>,
  { signal, timeout_ms }: { signal: AbortSignal; timeout_ms: number },
): Promise<Embedded> {
  const { account_id, knowledge_id, provider_id, embedding_model: model, dimensions } = base;
  if (provider_id === null) return { vectors: texts.map((text) => unit(hashVector(text))) };
  const provider = await findUsableProvider(deps.db, account_id, provider_id);
  if (!provider || !hasEmbeddings(provider.provider)) {
    throw new NoEmbedding(
      `Provider ${provider_id} is not active any more. Change the embedding of the knowledge base.`,
    );
  }
  const { provider: vendor, base_url } = provider;
  const api_key = keyOf(provider, deps.encryptionKey);
  const target = { vendor, model, api_key, base_url: base_url ?? undefined };
  const { vectors, input_tokens } = await embedTexts(
    target,
    { texts, role, dimensions },
    {
      signal,
      timeout_ms,
      fetch: deps.fetch,
    },
  );
  const cost_usd = costUsd({ vendor, model, input_tokens, output_tokens: 0 }) ?? null;
  const call = { account_id, knowledge_id, vendor, model, provider_id: provider.provider_id, input_tokens, cost_usd };
  const size = vectors[0]!.length;
  if (size > maxDimensions) {
    throw new NoEmbedding(
      `${model} has ${size} dimensions; at most ${maxDimensions} are kept. Ask it for fewer (\`dimensions\`).`,
      call,
    );
  }
  if (dimensions !== null && size !== dimensions) {
    const message = `${model} has answered with ${size} dimensions, and this knowledge base has ${dimensions}.`;
    throw new NoEmbedding(message, call);
  }
  return { vectors: vectors.map((vector) => unit(Float32Array.from(vector))), call };
}

function keyOf(
  {
    account_id,
    provider_id,
    api_key_encrypted,
  }: { account_id: string; provider_id: string; api_key_encrypted: string | null },
  keys: KeyRing,
): string | undefined {
  if (!api_key_encrypted) return undefined;
  try {
    return decrypt(api_key_encrypted, keys, providerKeyContext(account_id, provider_id));
  } catch (error) {
    if (error instanceof OtherKeyError) throw error;
    throw new LlmError('LlmAuth', `The stored key of provider ${provider_id} cannot be read.`);
  }
}

/** Of length 1, so that the cosine of two is their product. */
function unit(vector: Float32Array): Float32Array {
  let squares = 0;
  for (const value of vector) squares += value * value;
  const length = Math.sqrt(squares);
  return vector.map((value) => value / length);
}
