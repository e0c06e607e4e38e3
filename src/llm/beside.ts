import { isObject } from './json.ts';
import type { ToolCall } from './model.ts';

/** What servers on OpenAI's wire send beside calls and want to see again with them. It means nothing to us. */

/** With the call: Gemini's signatures, of its OpenAI endpoint and of LiteLLM. */
const CALL_FIELDS = ['extra_content', 'provider_specific_fields', 'thought_signature'];
/** With the message of the calls: of DeepSeek, Kimi and others; of vLLM; of OpenRouter; of LiteLLM; of Gemini. */
const MESSAGE_FIELDS = ['reasoning_content', 'reasoning', 'reasoning_details', 'thinking_blocks', 'extra_content'];

type Fields = Record<string, unknown>;
/** As it is kept; what came with the message is kept with its first call. */
type Beside = { call?: Fields; message?: Fields };

export function pickBesideCall(call: Fields): Fields | undefined {
  const there = CALL_FIELDS.filter((field) => call[field] !== undefined && call[field] !== null);
  return there.length ? Object.fromEntries(there.map((field) => [field, call[field]])) : undefined;
}

/** Adds up what comes beside a message in its chunks. */
export function gatherBeside() {
  const message: Fields = {};
  return {
    add(said: Fields): void {
      for (const field of MESSAGE_FIELDS) {
        const more = said[field];
        if (more !== undefined && more !== null) message[field] = longer(message[field], more);
      }
    },
    with<C extends { beside?: Fields }>(calls: C[]) {
      return calls.map(({ beside, ...call }, index) => {
        const kept: Beside = {
          ...(beside && { call: beside }),
          ...(index === 0 && Object.keys(message).length && { message }),
        };
        return { ...call, vendor_metadata: Object.keys(kept).length ? { openai: kept } : undefined };
      });
    },
  };
}

export function besideCall(call: ToolCall): Fields | undefined {
  return keptOf(call)?.call;
}

export function besideMessage(calls: ToolCall[]): Fields | undefined {
  return keptOf(calls[0])?.message;
}

function keptOf(call: ToolCall | undefined): Beside | undefined {
  return call?.vendor_metadata?.openai as Beside | undefined;
}

/** Texts get longer, and so do lists; of anything else the last one counts. */
function longer(known: unknown, more: unknown): unknown {
  if (typeof known === 'string' && typeof more === 'string') return known + more;
  return Array.isArray(known) && Array.isArray(more) ? addParts(known, more) : more;
}

const GROWING = ['text', 'summary', 'data', 'thinking'];

/** A list whose parts come in pieces too (OpenRouter): a piece of the last part has its `type` and its `index`. */
function addParts(parts: unknown[], more: unknown[]): unknown[] {
  for (const piece of more) {
    const last = parts.at(-1);
    if (isObject(last) && isObject(piece) && 'index' in piece && isSamePart(last, piece)) {
      for (const [field, value] of Object.entries(piece)) {
        if (value !== null) last[field] = GROWING.includes(field) ? longer(last[field], value) : value;
      }
    } else parts.push(piece);
  }
  return parts;
}

const isSamePart = (part: Fields, piece: Fields) => part.index === piece.index && part.type === piece.type;
