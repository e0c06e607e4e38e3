import type { Context } from 'hono';
import { HTTPException } from 'hono/http-exception';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { isUnavailable } from '../../db/index.ts';

/** The closed list of what can go wrong, and its status and title. */
const problems = {
  UNAUTHORIZED: [401, 'Missing or invalid API key'],
  PROVIDER_REQUIRED: [402, 'A provider of your own is required'],
  NOT_FOUND: [404, 'Not found'],
  METHOD_NOT_ALLOWED: [405, 'Method not allowed'],
  EMAIL_TAKEN: [409, 'This e-mail has an account'],
  TASK_NOT_WAITING: [409, 'The task is not waiting for a person'],
  RUN_FINISHED: [409, 'The run has ended'],
  RUN_NOT_READY: [409, 'The run has not come so far'],
  RUN_NOT_FAILED: [409, 'The run has not failed'],
  RUN_NOT_PAUSED: [409, 'The run does not wait for a person'],
  ORCHESTRATION_EXISTS: [409, 'There is an orchestration of this id'],
  ORCHESTRATION_SHIPPED: [409, 'This orchestration cannot be changed'],
  IDEMPOTENCY_KEY_IN_FLIGHT: [409, 'The first request is still at work'],
  BODY_TOO_LARGE: [413, 'The body is too large'],
  UNSUPPORTED_MEDIA_TYPE: [415, 'Send JSON'],
  VALIDATION_FAILED: [422, 'Validation error'],
  IDEMPOTENCY_KEY_REUSED: [422, 'The Idempotency-Key was used for another request'],
  MONTHLY_LIMIT_REACHED: [429, 'Monthly limit reached'],
  RATE_LIMITED: [429, 'Too many requests'],
  INTERNAL_ERROR: [500, 'Internal error'],
  UNAVAILABLE: [503, 'Temporarily unavailable'],
} as const satisfies Record<string, readonly [ContentfulStatusCode, string]>;

export type ErrorCode = keyof typeof problems;

/** A fault at one place of the body: a JSON pointer (RFC 6901) and what is wrong there. */
export type FieldFault = { pointer: string; detail: string };

type Extra = {
  errors?: FieldFault[];
  retry_after_seconds?: number;
  authenticate?: string;
  allow?: string[];
  [member: string]: unknown;
};

/** An error that the client is told: its code decides the status. `extra` becomes members of the body. */
export class ApiError extends Error {
  readonly code: ErrorCode;
  readonly extra: Extra;

  constructor(code: ErrorCode, detail: string, extra: Extra = {}) {
    super(detail);
    this.code = code;
    this.extra = extra;
  }
}

/** A 422 that names each field, by its JSON pointer. */
export function invalid(errors: FieldFault[]): ApiError {
  const detail = errors
    .map((fault) => `${fault.pointer.slice(1).replaceAll('/', '.') || 'body'}: ${fault.detail}`)
    .join('; ');
  return new ApiError('VALIDATION_FAILED', detail, { errors });
}

/** Unknown things and those of other accounts give the same answer. */
export function notFound(
  what: 'Run' | 'Task' | 'Provider' | 'Orchestration' | 'Delivery' | 'MCP server' | 'Page',
): ApiError {
  return new ApiError('NOT_FOUND', `${what} not found.`);
}

/** What is there, but not for this method. */
export function notAllowed(method: string, allow: string[]): ApiError {
  return new ApiError('METHOD_NOT_ALLOWED', `This takes ${allow.join(', ')}, and not ${method}.`, { allow });
}

function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof HTTPException) {
    if (error.status === 400) return invalid([{ pointer: '', detail: 'is not valid JSON' }]);
    if (error.status === 413) return new ApiError('BODY_TOO_LARGE', error.message);
  }
  if (isUnavailable(error)) {
    return new ApiError(
      'UNAVAILABLE',
      'The database cannot be reached, or is busy. Try again; with an Idempotency-Key, nothing is done twice.',
      {
        retry_after_seconds: 2,
      },
    );
  }
  return new ApiError('INTERNAL_ERROR', 'Something went wrong on our side. Quote the request_id when you report it.');
}

/** The one error body: `application/problem+json` (RFC 9457) with `code` and `request_id`. */
export function toResponse(thrown: unknown, c: Context): Response {
  const error = toApiError(thrown);
  const [status, title] = problems[error.code];
  const { retry_after_seconds, authenticate = 'Bearer', allow, ...extra } = error.extra;
  if (retry_after_seconds !== undefined) c.header('Retry-After', String(Math.ceil(retry_after_seconds)));
  if (error.code === 'UNAUTHORIZED') c.header('WWW-Authenticate', authenticate);
  if (allow) c.header('Allow', allow.join(', '));
  // The server hangs up on a body that was not read to its end; the client's next request must not be on that line.
  const isBodyLeft = c.req.raw.body && !c.req.raw.bodyUsed;
  if (isBodyLeft || error.code === 'BODY_TOO_LARGE') c.header('Connection', 'close');
  const type = `/problems/${error.code.toLowerCase().replaceAll('_', '-')}`;
  const body = {
    type,
    title,
    status,
    detail: error.message,
    code: error.code,
    ...extra,
    request_id: c.get('requestId'),
  };
  return c.body(JSON.stringify(body), status, { 'Content-Type': 'application/problem+json' });
}
