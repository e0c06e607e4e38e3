import { z } from 'zod';
import { accountRefusal } from './account-refusals.ts';
import { BodyTooLargeError, describeNoAnswer, EgressBlockedError, retryAfter } from '../fetch/index.ts';
import { wordsIn } from './error-words.ts';
import { LlmError, type LlmErrorType, type ModelTarget } from './model.ts';

/** From what a vendor, an SDK or the network says went wrong, to the one `LlmError` that fits. */

const NAMES = { openai: 'OpenAI', anthropic: 'Anthropic', gemini: 'Gemini', ollama: 'Ollama', demo: 'The demo model' };

/** Which vendor's (or compatible server's) answer a message is about. */
export function serverName({ vendor, base_url, is_operators }: ModelTarget): string {
  return base_url && !is_operators ? `The ${NAMES[vendor]} server at ${hostOf(base_url)}` : NAMES[vendor];
}

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : 'the given base_url';
}

/** A shorter one is no secret, and stands in many words. */
const leastKey = 6;

/** With or without a port. What only looks like one, as a version of four numbers, is a small loss. */
const ipAddresses = /\b\d{1,3}(?:\.\d{1,3}){3}\b(?::\d+)?|\[[\da-f:.]*:[\da-f:.]*\](?::\d+)?/gi;

/**
 * Removes everything that looks like a key from a vendor's words, and the very key used; of a model of the operator also
 * where it is. At most 500 characters.
 */
export function scrub(text: string, { api_key = '', base_url = '', is_operators }: Partial<ModelTarget>): string {
  const withoutKey = api_key.length >= leastKey ? text.replaceAll(api_key, '[redacted]') : text;
  return (is_operators ? withoutAddresses(withoutKey, base_url) : withoutKey)
    .replaceAll(/\b(?:sk-|AIza|orch_|os_(?:live|test|oat|ort|oac|cs)_|whsec_)[^\s"',;<>)}\]]*/g, '[redacted]')
    .replaceAll(/\bBearer\s+[^\s"',;<>)}\]]+/gi, 'Bearer [redacted]')
    .replaceAll(/[\s\p{Cc}]+/gu, ' ')
    .trim()
    .slice(0, 500)
    .toWellFormed();
}

/** A proxy before a model may tell where it has looked for it. */
function withoutAddresses(text: string, base_url: string): string {
  const own = URL.canParse(base_url) ? [new URL(base_url).host, new URL(base_url).hostname] : [];
  return own.reduce((left, name) => left.replaceAll(name, '[address]'), text).replaceAll(ipAddresses, '[address]');
}

const vendorError = z.object({
  message: z.string().catch(''),
  code: z.union([z.string(), z.number()]).nullish().catch(null),
  type: z.string().nullish().catch(null),
  status: z.string().nullish().catch(null),
  details: z.array(z.record(z.string(), z.unknown())).catch([]),
});
type VendorError = z.infer<typeof vendorError>;
const noError: VendorError = { message: '', details: [] };

/** OpenAI, Anthropic and Gemini say `{error: {…}}` (Gemini sometimes in an array), others `{error: "…"}`, `{detail: …}`, … */
function readVendorError(body: string): VendorError {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    value = body;
  }
  if (Array.isArray(value)) value = value[0];
  const inner = (value as { error?: unknown } | null)?.error;
  const error = vendorError.catch(noError).parse(typeof inner === 'object' && inner ? inner : value);
  return { ...error, message: wordsIn(value) || String(error.code ?? error.type ?? error.status ?? '') };
}

/** The error for an answer whose status is not 2xx. `body` is its text, `path` what was asked. */
export function statusError(
  target: ModelTarget,
  status: number,
  headers: Headers,
  body: string,
  path?: string,
): LlmError {
  const error = readVendorError(body);
  const said = scrub(error.message, target);
  const type = status === 404 ? typeOf404(target, error, path) : typeOf(status, error);
  const isPathTold = type === 'LlmNotFound' && path && !target.is_operators;
  const what = isPathTold ? `has nothing at ${scrub(path, target)}` : WORDS[type];
  const message = `${serverName(target)} ${what} (HTTP ${status})${said ? `: ${said}` : '.'}`;
  return new LlmError(type, message, { status, said, retry_after_ms: waitOf(headers, error) });
}

/** Of a 404: about the model, about a parameter (OpenRouter finds no endpoint that supports it), or a wrong address. */
function typeOf404({ model }: ModelTarget, { message, code, type }: VendorError, path = ''): LlmErrorType {
  const words = path ? message.replaceAll(path, '') : message;
  const isModel = words.includes(model) || /model|deployment|engine|模型/i.test(`${words} ${code} ${type}`);
  if (isModel) return 'LlmModelNotFound';
  return /support/i.test(words) ? 'LlmBadRequest' : 'LlmNotFound';
}

const STATUS_OF: Record<string, number> = {
  invalid_request_error: 400,
  authentication_error: 401,
  permission_error: 403,
  not_found_error: 404,
  request_too_large: 413,
  rate_limit_error: 429,
  rate_limit_exceeded: 429,
  overloaded_error: 529,
};

/** The error that a server reports in a 200 or within a stream, as the status that it gives or would have had. */
export function reportedError(target: ModelTarget, body: unknown): LlmError {
  const error = readVendorError(JSON.stringify(body));
  const given = typeof error.code === 'number' ? error.code : undefined;
  const status = given ?? STATUS_OF[error.code ?? ''] ?? STATUS_OF[error.type ?? ''] ?? 502;
  return statusError(target, status, new Headers(), JSON.stringify(body));
}

const WORDS: Record<LlmErrorType, string> = {
  LlmRateLimited: 'says that the rate limit is reached',
  LlmOverloaded: 'is overloaded',
  LlmUnavailable: 'failed',
  LlmTimeout: 'took too long',
  LlmBadResponse: 'gave an unusable answer',
  LlmTruncatedStream: 'cut its answer off',
  LlmQuotaExhausted: 'says that the quota or the credit is used up',
  LlmAuth: 'refused the API key',
  LlmModelNotFound: 'does not know this model',
  LlmNotFound: 'has nothing at this address',
  LlmBadRequest: 'refused the request',
  LlmContextTooLong: 'says that the prompt is too long',
  LlmRefused: 'refused to answer',
  LlmEmptyAnswer: 'ended without an answer',
  LlmMalformedCall: 'called a tool in a form that cannot be read',
  LlmTooManyCalls: 'called too many tools at once',
  EgressBlocked: 'is not reachable by our rules',
};

function typeOf(status: number, { message, code, type, status: rpcStatus, details }: VendorError): LlmErrorType {
  const codes = [code, type, rpcStatus, ...details.map(({ reason }) => reason)].map(String);
  const has = (...names: string[]) => names.some((name) => codes.includes(name));

  const ofAccount = accountRefusal(codes, message);
  if (ofAccount) return ofAccount;
  if (status === 402) return 'LlmQuotaExhausted';
  if (status === 429) return JSON.stringify(details).includes('PerDay') ? 'LlmQuotaExhausted' : 'LlmRateLimited'; // Gemini
  if (status === 401 || status === 403) return 'LlmAuth';
  if (status === 404 || has('model_not_found')) return 'LlmModelNotFound';
  if (status === 413 || has('context_length_exceeded')) return 'LlmContextTooLong';
  if (status < 500 && /context (length|window|size)|prompt is too long|token count.*exceeds/i.test(message)) {
    return 'LlmContextTooLong';
  }
  if (has('content_filter', 'content_policy_violation')) return 'LlmRefused';
  if (status === 408) return 'LlmTimeout';
  if (status === 503 || status === 529 || has('overloaded_error')) return 'LlmOverloaded';
  return status === 409 || status >= 500 ? 'LlmUnavailable' : 'LlmBadRequest';
}

/** `retry-after-ms`, `retry-after` (seconds or a date), or Gemini's `RetryInfo.retryDelay` ("34s") in the body. */
function waitOf(headers: Headers, { details }: VendorError): number | undefined {
  const delay = details.map(({ retryDelay }) => retryDelay).find((value) => typeof value === 'string') ?? '';
  const waits = [
    Number.parseFloat(headers.get('retry-after-ms') ?? ''),
    retryAfter(headers) ?? Number.NaN,
    Number.parseFloat(delay) * 1000,
  ];
  const wait = waits.find(Number.isFinite);
  return wait === undefined ? undefined : Math.round(Math.min(Math.max(wait, 1000), 24 * 3_600_000));
}

/** The error for anything else that was thrown on the way: by the network, by the guarded fetch, by an SDK. */
export function toLlmError(target: ModelTarget, error: unknown): LlmError {
  const server = serverName(target);
  let code = '';
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof LlmError) return cause;
    if (cause instanceof EgressBlockedError) {
      const words = target.is_operators ? `${server} ${WORDS.EgressBlocked}.` : scrub(cause.message, target);
      return new LlmError('EgressBlocked', words, { status: cause.status });
    }
    if (cause instanceof BodyTooLargeError) return new LlmError('LlmBadResponse', `${server}: ${cause.message}`);
    if (cause instanceof SyntaxError) return new LlmError('LlmBadResponse', `${server} sent no valid JSON.`);
    if ('code' in cause && typeof cause.code === 'string') code = cause.code;
  }
  if (code === 'ERR_INVALID_URL') return new LlmError('LlmBadRequest', `${server} cannot be asked: it is not a URL.`);
  const type = /TIMEOUT|TIMEDOUT/.test(code) ? 'LlmTimeout' : 'LlmUnavailable';
  if (code) return new LlmError(type, `${server} gave no answer: ${describeNoAnswer(error)}.`);
  return new LlmError('LlmBadResponse', `${server} answered in a way that cannot be read.`);
}
