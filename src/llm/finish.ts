import { refused, spent, truncated } from './answer.ts';
import type { ModelAnswer, ModelRequest, ModelTarget } from './model.ts';
import { marksBeside, withoutThoughts } from './thoughts.ts';
import { usageOf, type Counted } from './usage.ts';

/** Why an answer ended, in the words of all vendors and of the servers that speak like them; case does not matter. */
const REASONS: Record<ModelAnswer['finish'] | 'refused', string[]> = {
  stop: [
    'stop',
    'end_turn',
    'stop_sequence',
    'tool_calls',
    'tool_use',
    'function_call',
    'eos',
    'eos_token',
    'complete',
    'completed',
  ],
  length: [
    'length',
    'max_tokens',
    'max_output_tokens',
    'max_length',
    'model_length',
    'model_context_window_exceeded',
    'context_length_exceeded',
  ],
  refused: [
    'refusal',
    'content_filter',
    'content_filtered',
    'guardrail_intervened',
    'sensitive',
    'safety',
    'recitation',
    'language',
    'blocklist',
    'prohibited_content',
    'spii',
    'model_armor',
    'jailbreak',
  ],
};

/** All of them are made side by side, and stand in one task of the run's workflow. */
export const mostCalls = 32;

/** Gemini, also through gateways: it tried to call a tool, and nothing of it can be read. */
const malformedCall = /malformed_(function|tool)_call|unexpected_tool_call/i;

/**
 * The last step of every vendor: an answer that ended for this reason is checked, and counted. Thoughts are no text, but
 * they cost; and one that claims to be whole has text, or calls a tool.
 *
 * @throws LlmError for what is no answer; with what it cost, where the model may be told why and asked again.
 */
export function finished(
  target: ModelTarget,
  request: ModelRequest,
  reason: string | null | undefined,
  { tool_calls = [], ...written }: Pick<ModelAnswer, 'text' | 'tool_calls' | 'model'>,
  counted: Counted,
): ModelAnswer {
  const said = { ...written, ...usageOf(request, { ...written, tool_calls }, counted) };
  if (reason && malformedCall.test(reason)) {
    throw spent(target, 'LlmMalformedCall', `ended with ${reason}`, { ...said, finish: 'stop' });
  }
  const answer = { ...said, text: withoutThoughts(said.text, marksBeside(request)), finish: finishOf(target, reason) };
  if (tool_calls.length > mostCalls) {
    throw spent(target, 'LlmTooManyCalls', `called ${tool_calls.length} tools at once`, answer);
  }
  if (tool_calls.length) return { ...answer, tool_calls };
  if (answer.finish === 'length' || answer.text.trim()) return answer;
  const what = request.turns?.length ? 'ended without an answer after its tools were called' : 'sent an empty answer';
  throw spent(target, 'LlmEmptyAnswer', what, answer);
}

/** What no vendor calls an end (`error`, `insufficient_system_resource`, …) is none. */
function finishOf(target: ModelTarget, reason: string | null | undefined): ModelAnswer['finish'] {
  if (!reason) throw truncated(target);
  const word = reason.toLowerCase();
  // Gemini's reasons for images begin or end like those for texts.
  if (REASONS.refused.some((refusal) => word === refusal || word === `image_${refusal}`)) throw refused(target, reason);
  if (REASONS.stop.includes(word)) return 'stop';
  if (REASONS.length.includes(word)) return 'length';
  throw truncated(target, reason);
}
