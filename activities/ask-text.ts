import { ApplicationFailure } from '@temporalio/activity';
import { askModel } from './ask.ts';
import { callIdOf, type Answer, type Call, type CallKey } from './call.ts';
import type { ActivityDeps } from './deps.ts';
import { askWithMoreTokens, moreOutputTokens } from './output-tokens.ts';

/**
 * Asks for a text, or for calls of tools. A model whose thoughts took all its tokens is asked once more, with more of them.
 * @throws `NoText` when they take that as well.
 */
export async function askForText(deps: ActivityDeps, call: Call, ask = 1): Promise<Answer> {
  const answer = await askModel(deps, call, ask);
  if (!isUsedUp(answer)) return answer;
  const { max_output_tokens } = call.request;
  const more = { max_output_tokens: moreOutputTokens(max_output_tokens), least_output_tokens: max_output_tokens + 1 };
  const request = { ...call.request, ...more };
  const key = { ...call.key, has_more_tokens: true };
  const again = await askWithMoreTokens(deps, { ...call, request, key }, ask);
  if (again && !isUsedUp(again)) return again;
  const message = `${answer.model} used all tokens that an answer may have for its thoughts, and wrote nothing.`;
  throw ApplicationFailure.nonRetryable(message, 'NoText');
}

/** Under which an answer to `askForText` may stand in the journal. */
export function callIdsOf(key: CallKey, ask: number): string[] {
  return [callIdOf(key, ask), callIdOf({ ...key, has_more_tokens: true }, ask)];
}

function isUsedUp({ finish, text, tool_calls }: Answer): boolean {
  return finish === 'length' && !text.trim() && !tool_calls?.length;
}
