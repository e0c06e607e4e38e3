import { isHeaderValue, wasNotSent } from '../fetch/index.ts';
import { LlmError, type ModelTarget } from './model.ts';
import { statusError, toLlmError } from './failures.ts';
import { lengthForModels } from './usage.ts';

/** The SDKs' own timeouts leave out a stalled body (Anthropic) or look like a cancellation (Gemini); ours is the signal. */
export const NO_SDK_TIMEOUT = 2 ** 31 - 1;

/** What a vendor's file speaks through. */
export type Wire = {
  /** Ends the call: the caller's cancellation or the total timeout. */
  signal: AbortSignal;
  /** What went wrong last, seen before an SDK wrapped it: their wrappers drop headers, bodies and causes. */
  failure: LlmError | undefined;
  /** Takes the answer's text bit by bit. With it the vendor is asked to stream. */
  on_delta: ((text: string) => void) | undefined;
  /** A fetch that sends exactly these headers, and rejects with a `LlmError` unless the answer is 2xx. */
  sending: (headers: Record<string, string | undefined>) => typeof fetch;
  /** The request that the vendor may have taken last, and may want paid: whether it was to stream, and how long for a model what it has written is. */
  asked: { streams: boolean; length: number } | undefined;
  /** Hears all that is written in a stream, texts and what else is paid for. */
  hear: (...written: unknown[]) => void;
};

/** Opens the one way in which vendor files and their SDKs reach the network. */
export function openWire(
  target: ModelTarget,
  { fetch, signal, on_delta }: { fetch: typeof globalThis.fetch; signal: AbortSignal; on_delta?: Wire['on_delta'] },
): Wire {
  const wire: Wire = { signal, failure: undefined, on_delta, sending, asked: undefined, hear };
  return wire;

  function hear(...written: unknown[]) {
    for (const piece of written) {
      if (!piece || !wire.asked) continue;
      wire.asked.length += lengthForModels(typeof piece === 'string' ? piece : JSON.stringify(piece));
    }
  }

  // The SDKs add headers that the environment gives them (OPENAI_CUSTOM_HEADERS, …), so theirs are not used at all.
  function sending(headers: Record<string, string | undefined>): typeof globalThis.fetch {
    const exact = new Headers({
      accept: 'application/json',
      'content-type': 'application/json',
      'user-agent': 'orchflow',
    });
    for (const [name, value] of Object.entries(headers)) {
      if (value && !isHeaderValue(value)) throw new LlmError('LlmAuth', 'The API key has characters that no key has.');
      if (value) exact.set(name, value);
    }
    return async (url, init) => {
      wire.failure = undefined;
      wire.asked = { streams: wire.on_delta !== undefined, length: 0 };
      try {
        const response = await fetch(url, { ...init, headers: exact });
        if (response.ok) return response;
        const { pathname } = new URL(url instanceof Request ? url.url : url);
        throw statusError(target, response.status, response.headers, await response.text().catch(() => ''), pathname);
      } catch (error) {
        wire.failure = toLlmError(target, error);
        if (wire.failure.type === 'EgressBlocked' || wasNotSent(error)) wire.asked = undefined;
        throw wire.failure;
      }
    };
  }
}
