/** The words that every model call uses, whichever vendor answers it. */

export type Vendor = 'gemini' | 'openai' | 'anthropic' | 'ollama' | 'demo';

/**
 * Whom to ask. Without `base_url` the call goes to the vendor's own host (Ollama: this machine). Where a model of the
 * operator is, is told to nobody.
 */
export type ModelTarget = {
  vendor: Vendor;
  model: string;
  api_key?: string;
  base_url?: string;
  is_operators?: boolean;
};

/**
 * What to ask. With `schema` the answer's text is asked to be JSON of that shape; read it with `jsonValues`. With
 * `tools` the answer may be calls of them; `turns` are those calls so far, which come after the prompt. A schema that
 * `is_accounts` was written by an account: what a server says to it, it need not say to others.
 */
export type ModelRequest = {
  system: string;
  prompt: string;
  schema?: { name: string; json_schema: Record<string, unknown>; is_accounts?: boolean };
  tools?: ToolDefinition[];
  /** `none`: the tools of earlier turns are known, but must not be called. With a name: that one must be. */
  tool_choice?: 'none' | { name: string };
  turns?: ToolTurn[];
  max_output_tokens: number;
  /** A server that allows fewer is not asked. */
  least_output_tokens?: number;
  idempotency_key?: string;
};

/** A tool as a model sees it. The name: letters, digits, `_` and `-`, at most 64, not a digit first. */
export type ToolDefinition = { name: string; description: string; json_schema: Record<string, unknown> };

/** A call as the model wrote it; read the arguments, JSON text, with `parseToolArguments`. */
export type ToolCall = {
  id: string;
  name: string;
  arguments: string;
  /** What Gemini wants to see again with its call. */
  signature?: string;
  /** What other vendors want to see again with it, or, at the first call, with its turn; each reads its own only. */
  vendor_metadata?: { [vendor: string]: unknown };
};

/** What a model said and called, and what came of each call, in their order. */
export type ToolTurn = { text: string; calls: ToolCall[]; results: { text: string; is_error: boolean }[] };

/**
 * `model` is the name the vendor gave back. `finish` is `length` when the answer was cut at its token limit: thoughts may have
 * left no room for any text.
 */
export type ModelAnswer = {
  text: string;
  /** Missing when the model called none. */
  tool_calls?: ToolCall[];
  model: string;
  finish: 'stop' | 'length';
  input_tokens: number;
  output_tokens: number;
  /** Tools that this model could not be told of, if there are any. */
  left_out?: { name: string; reason: string }[];
};

/** Whether the same request may succeed later, by kind of failure. What is paid for in vain is not asked again as it is. */
const RETRYABLE = {
  LlmRateLimited: true,
  LlmOverloaded: true,
  LlmUnavailable: true,
  LlmTimeout: true,
  LlmBadResponse: true,
  LlmTruncatedStream: true,
  LlmQuotaExhausted: false,
  LlmAuth: false,
  LlmModelNotFound: false,
  LlmNotFound: false,
  LlmBadRequest: false,
  LlmContextTooLong: false,
  LlmRefused: false,
  LlmEmptyAnswer: false,
  LlmMalformedCall: false,
  LlmTooManyCalls: false,
  EgressBlocked: false,
} as const;

export type LlmErrorType = keyof typeof RETRYABLE;

type LlmErrorHints = Partial<Pick<LlmError, 'retry_after_ms' | 'status' | 'said' | 'spent'>>;

/**
 * The only error that leaves `callModel`, apart from the caller's own `signal.reason`.
 * Its message is free of keys and at most 500 characters of a vendor's words, so it may be stored and shown.
 * It has no `cause` on purpose: the errors of the SDKs carry headers and key fragments.
 */
export class LlmError extends Error {
  override readonly name = 'LlmError';
  readonly type: LlmErrorType;
  readonly retryable: boolean;
  /** How long the vendor asked us to wait, between 1 second and a day. */
  readonly retry_after_ms?: number;
  /** The HTTP status of the vendor's answer, when there was one. */
  readonly status?: number;
  /** The vendor's words alone, as they are in the message. */
  readonly said?: string;
  /** The answer that is none, but is paid for. */
  readonly spent?: ModelAnswer;

  constructor(type: LlmErrorType, message: string, hints: LlmErrorHints = {}) {
    super(message);
    this.type = type;
    this.retryable = RETRYABLE[type];
    Object.assign(this, hints);
  }
}

/** All that a request has a model read, more or less as it is counted. */
export function inputText({ system, prompt, schema, tools, turns }: ModelRequest): string {
  return system + prompt + [schema, tools, turns].map((part) => (part ? JSON.stringify(part) : '')).join('');
}
