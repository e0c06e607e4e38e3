import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { problems, type ProblemCode } from '../../http/problem-codes.ts';
import { HttpError, problemOf, setHeaders, waysOutOfV1, type Problem, type WaysOut } from '../../http/problems.ts';

/**
 * orchagent's errors: `error` with its code, `message` once more at the top for clients that look only there, and `metadata` with
 * the `request_id`.
 */

/** Each code with its status, and whether the same request may succeed the next time. The page's table first, then what it leaves out. */
export const errorCodes = {
  INVALID_INPUT: [400, false],
  UNAUTHORIZED: [401, false],
  INSUFFICIENT_CREDITS: [402, false],
  FORBIDDEN: [403, false],
  NOT_FOUND: [404, false],
  DOCUMENT_TOO_LARGE: [413, false],
  UNSUPPORTED_TYPE: [415, false],
  UNPROCESSABLE: [422, false],
  RATE_LIMITED: [429, true],
  TIMEOUT: [504, true],
  LLM_ERROR: [502, true],
  INTERNAL_ERROR: [500, true],

  DOWNLOAD_DISABLED: [403, false],
  PAID_AGENT_SERVER_ONLY: [403, false],
  METHOD_NOT_ALLOWED: [405, false],
  CONFLICT: [409, false],
  LLM_KEY_REQUIRED: [422, false],
  LLM_RATE_LIMITED: [429, true],
  MISSING_SECRETS: [422, false],
  SECURITY_BLOCKED: [422, false],
  SANDBOX_ERROR: [500, false],
  SANDBOX_TIMEOUT: [504, false],
  UNAVAILABLE: [503, true],
} as const satisfies Record<string, readonly [status: ContentfulStatusCode, is_retryable: boolean]>;

export type ErrorCode = keyof typeof errorCodes;

/** An error before it has a form. `members` stand beside `code`, `metadata` beside the `request_id`. */
export type Failure = {
  code: ErrorCode;
  message: string;
  is_retryable?: boolean;
  members?: Record<string, unknown>;
  metadata?: Record<string, unknown>;
};

/** What fails in a way that only this surface knows. */
export class OrchagentError extends Error {
  readonly failure: Failure;

  constructor(code: ErrorCode, message: string, more: Omit<Failure, 'code' | 'message'> = {}) {
    super(message);
    this.failure = { code, message, ...more };
  }
}

/** A failure as it is written, wherever: as an answer, or as an event of a stream. */
export function toEnvelope({ code, message, is_retryable, members, metadata }: Failure, request_id: string) {
  return {
    error: { code, message, is_retryable: is_retryable ?? errorCodes[code][1], ...members },
    message,
    metadata: { request_id, ...metadata },
  };
}

/** The house's problems that are another thing here than their status says. */
const ownCodes: Partial<Record<ProblemCode, ErrorCode>> = {
  VALIDATION_FAILED: 'INVALID_INPUT',
  PROVIDER_REQUIRED: 'LLM_KEY_REQUIRED',
  CREDITS_REQUIRED: 'INSUFFICIENT_CREDITS',
  DEADLINE_PASSED: 'TIMEOUT',
  // The page knows one 402, which sends people to buy credits.
  TIER_LIMIT_REACHED: 'FORBIDDEN',
};

const codesOfStatuses: Record<number, ErrorCode> = {
  401: 'UNAUTHORIZED',
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  405: 'METHOD_NOT_ALLOWED',
  409: 'CONFLICT',
  412: 'CONFLICT',
  413: 'DOCUMENT_TOO_LARGE',
  415: 'UNSUPPORTED_TYPE',
  422: 'UNPROCESSABLE',
  429: 'RATE_LIMITED',
  500: 'INTERNAL_ERROR',
  503: 'UNAVAILABLE',
};

/** What orchagent has a word of its own for; what it has not is asked for at `/api/v1`. */
const waysOut: WaysOut = {
  ...waysOutOfV1,
  make_room_for_agent: 'Delete one with DELETE /agents/{id}, or ask the operator of this server for a higher tier.',
};

/** `reason` is the house's own code, where this surface has one for several. */
function failureOf({ code: reason, detail, errors, members, retry_after_seconds }: Problem): Failure {
  const code = ownCodes[reason] ?? codesOfStatuses[problems[reason][0]] ?? 'INTERNAL_ERROR';
  const more = { ...(reason !== (code as string) && { reason }), ...(errors && { errors }), ...members };
  // Who asks again after a while gets the answer of the first.
  const may_pass = errorCodes[code][1] && reason !== 'DEADLINE_PASSED';
  const is_retryable = may_pass || retry_after_seconds !== undefined;
  return { code, message: detail, is_retryable, members: more };
}

/** Any error as a failure, in this surface's words. */
export function toFailure(error: unknown): Failure {
  if (error instanceof OrchagentError) return error.failure;
  const failure = failureOf(problemOf(error, waysOut));
  // Its clients send no other header.
  return error instanceof HttpError && error.code === 'UNAUTHORIZED' ? { ...failure, message: howToSendKey } : failure;
}

const howToSendKey = 'Send your API key as `Authorization: Bearer …`. Get one with POST /api/v1/auth/register.';

/** Any error as orchagent's clients read it. */
export function answerError(error: unknown, c: Context): Response {
  const failure = toFailure(error);
  if (!(error instanceof OrchagentError)) setHeaders(c, problemOf(error, waysOut));
  return c.json(toEnvelope(failure, c.get('requestId')), errorCodes[failure.code][0]);
}
