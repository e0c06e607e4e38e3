import { ApplicationFailure } from '@temporalio/activity';
import { askModel } from './ask.ts';
import type { Answer, Call } from './call.ts';
import type { ActivityDeps } from './deps.ts';

/**
 * How many tokens an answer may have, with the thoughts before it. Only those that it has are paid for, but a budget reserves
 * all of them.
 */

/** The least that the default models of all vendors can write in one answer. */
export const usualOutputTokens = 8_192;
export const mostOutputTokens = 2 * usualOutputTokens;

/** For the ask after one whose answer was cut off. */
export function moreOutputTokens(max_output_tokens: number): number {
  return max_output_tokens < usualOutputTokens ? usualOutputTokens : mostOutputTokens;
}

/** Asks with more tokens than at first. Undefined when they are more than the model can write: a refusal costs nothing. */
export async function askWithMoreTokens(deps: ActivityDeps, call: Call, ask: number): Promise<Answer | undefined> {
  try {
    return await askModel(deps, call, ask);
  } catch (error) {
    const type = error instanceof ApplicationFailure && error.type;
    if (type === 'LlmBadRequest' || type === 'LlmContextTooLong') return undefined;
    throw error;
  }
}
