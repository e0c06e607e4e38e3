import { refused, truncated } from './answer.ts';
import type { ModelAnswer, ModelTarget } from './model.ts';

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

/**
 * Whether an answer that ended for this reason is whole.
 *
 * @throws LlmError when it is not: what no vendor calls an end (`error`, `insufficient_system_resource`, …) is none.
 */
export function finishOf(target: ModelTarget, reason: string | null | undefined): ModelAnswer['finish'] {
  if (!reason) throw truncated(target);
  const word = reason.toLowerCase();
  // Gemini's reasons for images begin or end like those for texts.
  if (REASONS.refused.some((refusal) => word === refusal || word === `image_${refusal}`)) throw refused(target, reason);
  if (REASONS.stop.includes(word)) return 'stop';
  if (REASONS.length.includes(word)) return 'length';
  throw truncated(target, reason);
}
