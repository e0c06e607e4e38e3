import type { Context } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { isUnavailable } from '../../db/index.ts';
import { AccountGone, LimitReached } from '../../db/limits.ts';
import { DomainError, InvalidInputError, type FieldFault, type ProblemMembers, type WayOut } from '../errors.ts';
import { NoThreadError } from '../javascript/threads.ts';
import { pointer } from './pointer.ts';
import { problems, type HttpErrorCode, type ProblemCode } from './problem-codes.ts';

type Extra = { retry_after_seconds?: number; authenticate?: string; allow?: string[]; accept_encoding?: string };

/** A request that fails for what it is as HTTP, whatever it asks for. `extra` becomes headers. */
export class HttpError extends Error {
  readonly code: HttpErrorCode;
  readonly extra: Extra;

  constructor(code: HttpErrorCode, detail: string, extra: Extra = {}) {
    super(detail);
    this.code = code;
    this.extra = extra;
  }
}

/** What is there, but not for this method. */
export function notAllowed(method: string, allow: string[]): HttpError {
  return new HttpError('METHOD_NOT_ALLOWED', `This takes ${allow.join(', ')}, and not ${method}.`, { allow });
}

/** What a surface says of an error, before it has a form. */
export type Problem = Extra & {
  code: ProblemCode;
  detail: string;
  errors?: { pointer: string; detail: string }[];
  members?: ProblemMembers;
};

/** What a client can do about an error, in the requests of a surface; it follows the message. */
export type WaysOut = Record<WayOut, string>;

/** In the requests of `/api/v1`, which several surfaces share. */
export const waysOutOfV1: WaysOut = {
  create_orchestration: 'Create one of your own with POST /api/v1/orchestrations.',
  list_tools: 'GET /api/v1/tools lists them.',
  make_room_for_agent:
    'Delete one with DELETE /api/v1/agents/{agent_id}, or ask the operator of this server for a higher tier.',
  name_provider: 'Pass the provider_id of one of yours; GET /api/v1/providers lists them.',
  register_provider: 'Register a provider with POST /api/v1/providers and pass its provider_id.',
  register_vendor: 'Register one with POST /api/v1/providers.',
  replace_orchestration: 'Replace it with PUT.',
};

/** Any error as a problem, in the words of a surface. What is none of ours is not told. */
export function problemOf(error: unknown, waysOut: WaysOut): Problem {
  if (error instanceof DomainError) {
    const { code, message, way_out, retry_after_seconds, members } = error;
    const detail = way_out ? `${message} ${waysOut[way_out]}` : message;
    const errors = error.faults.length > 0 ? wireFaults(error.faults, waysOut) : undefined;
    return { code, detail, retry_after_seconds, members, ...(errors && { errors }) };
  }
  if (error instanceof InvalidInputError) {
    const errors = wireFaults(error.faults, waysOut);
    const said = errors.map((fault) => `${fault.pointer.slice(1).replaceAll('/', '.') || 'body'}: ${fault.detail}`);
    return { code: 'VALIDATION_FAILED', detail: said.join('; '), errors };
  }
  if (error instanceof LimitReached) return { code: 'LIMIT_REACHED', detail: error.message, retry_after_seconds: 60 };
  if (error instanceof NoThreadError) {
    const detail = 'All that could read this was at work, for this account or others. Try again.';
    return { code: 'UNAVAILABLE', detail, retry_after_seconds: 2 };
  }
  if (error instanceof AccountGone) return { code: 'UNAUTHORIZED', detail: error.message };
  if (error instanceof HttpError) return { code: error.code, detail: error.message, ...error.extra };
  if (error instanceof HTTPException && error.status === 400) {
    return problemOf(new InvalidInputError([{ path: [], detail: 'is not valid JSON' }]), waysOut);
  }
  if (error instanceof HTTPException && error.status === 413) return { code: 'BODY_TOO_LARGE', detail: error.message };
  if (isUnavailable(error)) {
    const detail =
      'The database cannot be reached, or is busy. Try again; with an Idempotency-Key, nothing is done twice.';
    return { code: 'UNAVAILABLE', detail, retry_after_seconds: 2 };
  }
  const detail = 'Something went wrong on our side. Quote the request_id when you report it.';
  return { code: 'INTERNAL_ERROR', detail };
}

function wireFaults(faults: FieldFault[], waysOut: WaysOut): { pointer: string; detail: string }[] {
  return faults.map(({ path, detail, way_out }) => ({
    pointer: pointer(path),
    detail: way_out ? `${detail} ${waysOut[way_out]}` : detail,
  }));
}

/** The last segment of a problem's `type`: `run-finished`. */
export function slugOf(code: ProblemCode): string {
  return code.toLowerCase().replaceAll('_', '-');
}

/** A problem as `application/problem+json` (RFC 9457), with `code` and `request_id` besides. */
export function problemDetails(c: Context, problem: Problem): Response {
  const { code, detail, errors, members } = problem;
  const [status, title] = problems[code];
  setHeaders(c, problem);
  const type = `/problems/${slugOf(code)}`;
  const body = {
    type,
    title,
    status,
    detail,
    code,
    ...(errors && { errors }),
    ...members,
    request_id: c.get('requestId'),
  };
  return c.body(JSON.stringify(body), status, { 'Content-Type': 'application/problem+json' });
}

/** What a problem says in headers. */
export function setHeaders(c: Context, problem: Problem): void {
  const { code, retry_after_seconds, authenticate = 'Bearer', allow, accept_encoding } = problem;
  if (retry_after_seconds !== undefined) c.header('Retry-After', String(Math.ceil(retry_after_seconds)));
  if (code === 'UNAUTHORIZED') c.header('WWW-Authenticate', authenticate);
  if (allow) c.header('Allow', allow.join(', '));
  // RFC 7694: what is taken in place of an encoding that is not.
  if (accept_encoding) c.header('Accept-Encoding', accept_encoding);
}
