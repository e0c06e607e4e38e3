/**
 * What the house refuses, and why. Nothing here knows of HTTP: each surface puts these errors into a status, words and
 * pointers of its own (`envelope.ts` in its folder).
 */

export type DomainErrorCode =
  | 'EMAIL_TAKEN'
  | 'MONTHLY_LIMIT_REACHED'
  | 'NOT_FOUND'
  | 'ORCHESTRATION_EXISTS'
  | 'ORCHESTRATION_SHIPPED'
  | 'PROVIDER_REQUIRED'
  | 'RUN_FINISHED'
  | 'RUN_NOT_FAILED'
  | 'RUN_NOT_OF_GOAL'
  | 'RUN_NOT_PAUSED'
  | 'RUN_NOT_READY'
  | 'TASK_NOT_WAITING';

/** What the client can do about it; each surface names the request that does it. */
export type WayOut =
  'create_orchestration' | 'list_tools' | 'register_provider' | 'register_vendor' | 'replace_orchestration';

type Details = {
  way_out?: WayOut;
  retry_after_seconds?: number;
  /** What a client may read besides the message. */
  members?: Record<string, unknown>;
};

/** A request that is well-formed, and cannot be done as things are. */
export class DomainError extends Error {
  readonly code: DomainErrorCode;
  readonly way_out: WayOut | undefined;
  readonly retry_after_seconds: number | undefined;
  readonly members: Record<string, unknown>;

  constructor(code: DomainErrorCode, message: string, { way_out, retry_after_seconds, members = {} }: Details = {}) {
    super(message);
    this.code = code;
    this.way_out = way_out;
    this.retry_after_seconds = retry_after_seconds;
    this.members = members;
  }
}

/** The way to a member of what was given: `['agents', 0, 'model']`. The empty one is the whole. */
export type Path = PropertyKey[];

/** A fault at one place of what was given. */
export type FieldFault = { path: Path; detail: string; way_out?: WayOut };

/** What was given is wrong, at these places. */
export class InvalidInputError extends Error {
  readonly faults: FieldFault[];

  constructor(faults: FieldFault[]) {
    super(faults.map(({ path, detail }) => `${path.map(String).join('.') || 'body'}: ${detail}`).join('; '));
    this.faults = faults;
  }
}

/** Throws when there are any. */
export function requireNone(faults: FieldFault[]): void {
  if (faults.length > 0) throw new InvalidInputError(faults);
}

/** Unknown things and those of other accounts are the same. */
export function notFound(what: 'Run' | 'Task' | 'Provider' | 'Orchestration' | 'Delivery' | 'MCP server'): DomainError {
  return new DomainError('NOT_FOUND', `${what} not found.`);
}
