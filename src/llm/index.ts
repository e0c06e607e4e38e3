import { askInDialect } from './ask-in-dialect.ts';
import { callDemo } from './demo.ts';
import type { Dialect } from './dialect.ts';
import type * as Embed from './embed.ts';
import { withFitTools } from './fit-tools.ts';
import { LlmError, type ModelAnswer, type ModelRequest, type ModelTarget } from './model.ts';
import { callOllama } from './ollama.ts';
import { serverName, toLlmError } from './failures.ts';
import { tokensOfLength } from './usage.ts';
import { openWire, type Wire } from './wire.ts';

export { endsAmidValue, isContainer, isObject, jsonValues, revive } from './json.ts';
export { mostCalls } from './finish.ts';
export { inputText, LlmError } from './model.ts';
export type {
  LlmErrorType,
  ModelAnswer,
  ModelRequest,
  ModelTarget,
  ToolCall,
  ToolDefinition,
  ToolTurn,
  Vendor,
} from './model.ts';
export { withoutStandIns } from './structured.ts';
export { fitToolSchema } from './tool-schema.ts';
export { parseToolArguments } from './tools.ts';
export { lengthForModels, mostTokensOf } from './usage.ts';
export { costUsd, DEFAULT_MODELS, vendorOfModel } from './prices.ts';
export {
  DEFAULT_EMBEDDING_MODELS,
  hasEmbeddings,
  type EmbeddingRequest,
  type EmbeddingVendor,
} from './embedding-models.ts';

/** Loaded when it is first asked for, as the SDKs are. */
export const embedTexts: typeof Embed.embedTexts = async (...asked) =>
  (await import('./embed.ts')).embedTexts(...asked);

/**
 * `fetch` should be a guarded one (`createGuardedFetch`); `timeout_ms` is for the whole call, body included.
 * With `on_delta` the vendor streams, and it is called with each bit of text as it comes; only the answer that is
 * returned is known to be whole.
 */
export type CallOptions = {
  signal: AbortSignal;
  fetch: typeof fetch;
  timeout_ms: number;
  on_delta?: (text: string) => void;
  /**
   * Called, and waited for, before it throws what says nothing of the cost (`spent`), when the vendor may have taken the request
   * and want it paid: with about how many tokens were streamed, or nothing where it was not to stream.
   */
  on_broken?: (streamed_tokens?: number) => Promise<void>;
};

/**
 * Asks one model once: no retries here, so that every request is seen, counted and can be cancelled.
 *
 * @throws `signal.reason` when the caller cancelled (the request to the vendor is then closed), else always `LlmError`.
 */
export async function callModel(
  target: ModelTarget,
  request: ModelRequest,
  { signal, fetch, timeout_ms, on_delta, on_broken }: CallOptions,
): Promise<ModelAnswer> {
  signal.throwIfAborted();
  if (needsKey(target)) throw new LlmError('LlmAuth', `${serverName(target)} needs an API key, and there is none.`);
  const timeout = AbortSignal.timeout(timeout_ms);
  const wire = openWire(target, { fetch, signal: AbortSignal.any([signal, timeout]), on_delta });
  try {
    return await withFitTools(target, request, wire, (fit) =>
      askInDialect(target, fit, wire, (asked, dialect) => ask(target, asked, dialect, wire)),
    );
  } catch (error) {
    const failure = toLlmError(target, wire.failure ?? error);
    const isLate = timeout.aborted;
    if (signal.aborted || isLate || !failure.spent) await tellOfBroken(wire, failure, on_broken);
    signal.throwIfAborted();
    if (isLate) {
      throw new LlmError('LlmTimeout', `${target.model} did not answer within ${timeout_ms / 1000} seconds.`);
    }
    throw failure;
  }
}

/** A vendor that answers with an error, before it has written anything, wants nothing for it. */
async function tellOfBroken({ asked }: Wire, { status }: LlmError, on_broken: CallOptions['on_broken']): Promise<void> {
  if (!asked || (status !== undefined && asked.length === 0)) return;
  await on_broken?.(asked.streams ? tokensOfLength(asked.length) : undefined);
}

/** Servers at a base_url may do without. */
function needsKey({ vendor, api_key, base_url }: ModelTarget): boolean {
  return !api_key && !base_url && vendor !== 'ollama' && vendor !== 'demo';
}

/** The SDK of a vendor is loaded when it is called for the first time: each is 25 to 30 MiB. */
async function ask(target: ModelTarget, request: ModelRequest, dialect: Dialect, wire: Wire): Promise<ModelAnswer> {
  switch (target.vendor) {
    case 'openai':
      return (await import('./openai.ts')).callOpenAI(target, request, dialect, wire);
    case 'anthropic':
      return (await import('./anthropic.ts')).callAnthropic(target, request, wire);
    case 'gemini':
      return (await import('./gemini.ts')).callGemini(target, request, dialect, wire);
    case 'ollama':
      return callOllama(target, request, dialect, wire);
    case 'demo':
      return callDemo(target, request, wire);
  }
}
