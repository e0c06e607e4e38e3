import { z } from 'zod';
import { badAnswer, readAnswer } from './answer.ts';
import type { EmbeddingRequest, EmbeddingVendor } from './embedding-models.ts';
import { toLlmError } from './failures.ts';
import { openGemini } from './gemini.ts';
import { LlmError, type ModelTarget } from './model.ts';
import { openOpenAI } from './openai.ts';
import { count, countsOf, estimateTokens } from './usage.ts';
import { openWire, type Wire } from './wire.ts';

/** A vector of each text, in their order, none of them unit vectors yet. */
export type Embeddings = { vectors: number[][]; input_tokens: number };

type EmbeddingTarget = Omit<ModelTarget, 'vendor'> & { vendor: EmbeddingVendor };

/**
 * Embeds texts by one call of a model, without retries.
 *
 * @throws `signal.reason` when the caller cancelled, else always `LlmError`.
 */
export async function embedTexts(
  target: EmbeddingTarget,
  request: EmbeddingRequest,
  { signal, fetch, timeout_ms }: { signal: AbortSignal; fetch: typeof globalThis.fetch; timeout_ms: number },
): Promise<Embeddings> {
  signal.throwIfAborted();
  const timeout = AbortSignal.timeout(timeout_ms);
  const wire = openWire(target, { fetch, signal: AbortSignal.any([signal, timeout]), on_delta: undefined });
  try {
    const { vectors, input_tokens } = await vendors[target.vendor](target, request, wire);
    requireVectors(target, vectors, request.texts.length);
    return {
      vectors,
      input_tokens: input_tokens ?? request.texts.reduce((sum, text) => sum + estimateTokens(text), 0),
    };
  } catch (error) {
    signal.throwIfAborted();
    if (timeout.aborted) {
      throw new LlmError('LlmTimeout', `${target.model} did not answer within ${timeout_ms / 1000} seconds.`);
    }
    throw toLlmError(target, wire.failure ?? error);
  }
}

type Answered = { vectors: number[][]; input_tokens: number | undefined };

const vector = z.array(z.number());

const vendors: Record<
  EmbeddingVendor,
  (target: EmbeddingTarget, request: EmbeddingRequest, wire: Wire) => Promise<Answered>
> = { openai: embedOpenAI, gemini: embedGemini, ollama: embedOllama };

const openAIAnswer = z.object({
  data: z.array(z.object({ index: z.number().nullish(), embedding: vector })),
  usage: countsOf({ prompt_tokens: count, total_tokens: count }),
});

/** OpenAI's embeddings, which most other servers have too. */
async function embedOpenAI(target: EmbeddingTarget, request: EmbeddingRequest, wire: Wire): Promise<Answered> {
  const client = openOpenAI(target, wire);
  const { texts: input, dimensions } = request;
  const asked = { model: target.model, input, encoding_format: 'float' as const, ...(dimensions && { dimensions }) };
  const response = await client.embeddings.create(asked, { signal: wire.signal }).asResponse();
  const { data, usage } = await onlyValue(target, openAIAnswer, response);
  const inOrder = data.toSorted((a, b) => (a.index ?? 0) - (b.index ?? 0));
  return {
    vectors: inOrder.map(({ embedding }) => embedding),
    input_tokens: usage?.prompt_tokens ?? usage?.total_tokens,
  };
}

const geminiAnswer = z.object({ embeddings: z.array(z.object({ values: vector })) });
const geminiTasks = { passage: 'RETRIEVAL_DOCUMENT', query: 'RETRIEVAL_QUERY' };

/** Gemini's batchEmbedContents, which counts no tokens. */
async function embedGemini(target: EmbeddingTarget, request: EmbeddingRequest, wire: Wire): Promise<Answered> {
  const { client, answer } = openGemini(target, wire);
  const { texts, role, dimensions } = request;
  await client.models.embedContent({
    model: target.model,
    contents: texts,
    config: {
      taskType: geminiTasks[role],
      abortSignal: wire.signal,
      ...(dimensions && { outputDimensionality: dimensions }),
    },
  });
  const { embeddings } = await onlyValue(target, geminiAnswer, answer());
  return { vectors: embeddings.map(({ values }) => values), input_tokens: undefined };
}

const ollamaAnswer = z.object({ embeddings: z.array(vector), prompt_eval_count: count });

/** Ollama's `/api/embed` (https://docs.ollama.com/api/embed). */
async function embedOllama(target: EmbeddingTarget, request: EmbeddingRequest, wire: Wire): Promise<Answered> {
  const base_url = (target.base_url || 'http://localhost:11434').replace(/\/+$/, '');
  const send = wire.sending({ authorization: target.api_key && `Bearer ${target.api_key}` });
  const response = await send(`${base_url}/api/embed`, {
    method: 'POST',
    signal: wire.signal,
    body: JSON.stringify({ model: target.model, input: request.texts, truncate: true }),
  });
  const { embeddings, prompt_eval_count } = await onlyValue(target, ollamaAnswer, response);
  return { vectors: embeddings, input_tokens: prompt_eval_count };
}

async function onlyValue<S extends z.ZodType>(target: ModelTarget, schema: S, response: Response): Promise<z.infer<S>> {
  for await (const value of readAnswer(target, schema, response)) return value;
  throw badAnswer(target, 'sent nothing that can be read');
}

/** One of each text, all of the same length, and not all zeros. */
function requireVectors(target: ModelTarget, vectors: number[][], texts: number): void {
  if (vectors.length !== texts) throw badAnswer(target, `sent ${vectors.length} embeddings of ${texts} texts`);
  const dimensions = vectors[0]?.length ?? 0;
  const isWrong = (one: number[]) => one.length !== dimensions || !one.every(Number.isFinite) || !one.some(Boolean);
  if (dimensions === 0 || vectors.some(isWrong)) throw badAnswer(target, 'sent embeddings that are no vectors');
}
