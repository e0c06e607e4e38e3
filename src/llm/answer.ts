import type { z } from 'zod';
import { scrub, serverName, toLlmError } from './failures.ts';
import { LlmError, type ModelAnswer, type ModelTarget } from './model.ts';

/** What the vendor files share when they read a 200. */

/** The body as its schema; the SDKs pass on `{}`, `undefined` or a page of text as if it were an answer. */
export function readAnswer<S extends z.ZodType>(target: ModelTarget, schema: S, body: unknown): z.infer<S> {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0]!;
  const where = path.length ? `${path.join('.')}: ` : '';
  throw badAnswer(target, `sent something that is not an answer (${where}${message})`);
}

/**
 * The chunks of a vendor's stream as their schema. A stream that breaks once it has begun was cut; whether one that ends
 * is whole says its marker alone, for the SDKs end a cut or cancelled one without a word.
 */
export async function* readStream<S extends z.ZodType>(
  target: ModelTarget,
  schema: S,
  stream: AsyncIterable<unknown>,
): AsyncGenerator<z.infer<S>> {
  let begun = false;
  try {
    for await (const chunk of stream) {
      yield readAnswer(target, schema, chunk);
      begun = true;
    }
  } catch (error) {
    const failure = toLlmError(target, error);
    const broke = failure.type === 'LlmUnavailable' || failure.type === 'LlmBadResponse';
    throw begun && broke && failure.status === undefined ? truncated(target) : failure;
  }
  if (!begun) throw badAnswer(target, 'sent nothing that can be read');
}

/** The last check of every vendor: an answer that claims to be whole has text, or calls a tool. */
export function finished(target: ModelTarget, { tool_calls = [], ...answer }: ModelAnswer): ModelAnswer {
  if (tool_calls.length) return { ...answer, tool_calls };
  if (answer.finish === 'stop' && !answer.text.trim()) throw badAnswer(target, 'sent an empty answer');
  return answer;
}

export function badAnswer(target: ModelTarget, what: string): LlmError {
  return new LlmError('LlmBadResponse', `${serverName(target)} ${what}.`);
}

/** An answer without the marker that ends it is a part of one, however well formed. */
export function truncated(target: ModelTarget): LlmError {
  return new LlmError('LlmTruncatedStream', `${serverName(target)} stopped before its answer was whole.`);
}

export function refused(target: ModelTarget, reason: string): LlmError {
  return new LlmError('LlmRefused', `${serverName(target)} refused to answer: ${scrub(reason, target.api_key)}`);
}
