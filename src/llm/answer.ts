import type { z } from 'zod';
import { scrub, serverName, toLlmError } from './failures.ts';
import { LlmError, type LlmErrorType, type ModelAnswer, type ModelTarget } from './model.ts';
import { readValues } from './values.ts';

/** What the vendor files share when they read a 200. */

/**
 * The values of an answer's body as their schema: the chunks of a stream, or the whole answer as its only one. A body
 * that breaks once it has begun was cut; whether one that ends is whole says its marker alone.
 */
export async function* readAnswer<S extends z.ZodType>(
  target: ModelTarget,
  schema: S,
  response: Response,
): AsyncGenerator<z.infer<S>> {
  let begun = false;
  try {
    for await (const value of readValues(target, response)) {
      yield parse(target, schema, value);
      begun = true;
    }
  } catch (error) {
    const failure = toLlmError(target, error);
    // What is an `LlmError` already is what the server said, and says it.
    const broke = failure !== error && (failure.type === 'LlmUnavailable' || failure.type === 'LlmBadResponse');
    throw begun && broke ? truncated(target) : failure;
  }
  if (!begun) throw badAnswer(target, 'sent nothing that can be read');
}

function parse<S extends z.ZodType>(target: ModelTarget, schema: S, value: unknown): z.infer<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0]!;
  const where = path.length ? `${path.join('.')}: ` : '';
  throw badAnswer(target, `sent something that is not an answer (${where}${message})`);
}

/** An answer that is none, but was paid for. */
export function spent(target: ModelTarget, type: LlmErrorType, what: string, answer: ModelAnswer): LlmError {
  return new LlmError(type, `${serverName(target)} ${what}.`, { spent: { ...answer, text: '' } });
}

export function badAnswer(target: ModelTarget, what: string): LlmError {
  return new LlmError('LlmBadResponse', `${serverName(target)} ${what}.`);
}

/** An answer without the marker that ends it, or with one of another end, is a part of one, however well formed. */
export function truncated(target: ModelTarget, reason?: string): LlmError {
  const why = reason ? ` (${scrub(reason, target)})` : '';
  return new LlmError('LlmTruncatedStream', `${serverName(target)} stopped before its answer was whole${why}.`);
}

export function refused(target: ModelTarget, reason: string): LlmError {
  return new LlmError('LlmRefused', `${serverName(target)} refused to answer: ${scrub(reason, target)}`);
}
