import { z } from 'zod';
import { inputText, type ModelAnswer, type ModelRequest } from './model.ts';

/** What a call used, from what its server counts; what it does not count is estimated, alike on every wire. */

/** More than any call can use, and two of them are still an integer of Postgres. */
const mostTokens = 1_000_000_000;

/**
 * A count as a server writes it. Null, words, and numbers that count nothing are none: an answer is not worse for them.
 */
export const count = z
  .unknown()
  .transform((value) => {
    const number = typeof value === 'string' && value.trim() ? Number(value) : value;
    const isCount = typeof number === 'number' && number >= 0 && number <= mostTokens;
    return isCount ? Math.ceil(number) : undefined;
  })
  .optional();

/** The counts of a server by their names, or nothing: whatever else stands in their place. */
export function countsOf<Names extends z.ZodRawShape>(names: Names) {
  return z.object(names).nullish().catch(null);
}

type Counts = Record<string, unknown>;

/** The counts of a stream up to here. They only rise, and a later event may leave some of them out. */
export function risen<C extends Counts>(before: C | null | undefined, after: C | null | undefined): C {
  const both: Counts = { ...before };
  for (const [name, value] of Object.entries(after ?? {})) {
    const known = both[name];
    if (typeof value === 'number') both[name] = typeof known === 'number' ? Math.max(known, value) : value;
    else if (value) both[name] = risen(known as Counts | undefined, value as Counts);
  }
  return both as C;
}

/** What a server says of one call. `input` has the cached tokens in it; `output` may have the reasoning in it or not. */
export type Counted = { input?: number; output?: number; reasoning?: number; total?: number };

/**
 * What counts of it. Reasoning that stands beside the output, or in the total only, is output too. No prompt is empty, and
 * nothing is said with no tokens: a zero there is a count that is missing.
 */
export function usageOf(
  request: ModelRequest,
  { text, tool_calls = [] }: Pick<ModelAnswer, 'text' | 'tool_calls'>,
  { input = 0, output = 0, reasoning = 0, total = 0 }: Counted,
): Pick<ModelAnswer, 'input_tokens' | 'output_tokens'> {
  const said = text + tool_calls.map((call) => call.name + call.arguments).join('');
  // More reasoning than output: then it is not in it.
  const counted = output < reasoning ? output + reasoning : output;
  const ofTotal = input > 0 ? total - input : 0;
  const isCounted = output > 0 || ofTotal > reasoning;
  const written = Math.max(counted, ofTotal, isCounted ? 0 : reasoning + estimateTokens(said));
  const ofPrompt = output > 0 ? total - counted : 0;
  return {
    input_tokens: input || Math.max(ofPrompt, 0) || estimateTokens(inputText(request)),
    output_tokens: Math.min(written, mostTokens),
  };
}

/** About how many tokens a text is: four letters of English each; of other scripts fewer, down to one of Chinese. */
export function estimateTokens(text: string): number {
  return tokensOfLength(lengthForModels(text));
}

/** The same of a text that is so long for a model. */
export function tokensOfLength(length: number): number {
  return Math.ceil(length / 4);
}

/** The most tokens that a text may be, with a third to spare: tokenizers differ by that much. */
export function mostTokensOf(text: string): number {
  return Math.ceil(lengthForModels(text) / 3);
}

/**
 * How long a text is for a model, in letters of English. Tokenizers cut the bytes of UTF-8, so a letter of Cyrillic counts
 * as two, and a character of Chinese, Japanese or Korean as four.
 */
export function lengthForModels(text: string): number {
  let length = 0;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    length += unit < 0x80 ? 1 : unit < 0x800 ? 2 : 4;
  }
  return length;
}
